"""A machine's bus with a systemd and a logind on it that have as many units and sessions as the test wants.

bus.py UNITS SESSIONS; the address of the bus is in DBUS_SYSTEM_BUS_ADDRESS.
"""

import re
import sys

import dbus
import dbus.service
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

SYSTEMD = "org.freedesktop.systemd1"
LOGIND = "org.freedesktop.login1"
PROPERTIES = "org.freedesktop.DBus.Properties"
KINDS = ["service", "socket", "timer", "mount", "slice"]
STATES = ["active", "inactive", "failed", "activating", "reloading"]


def unit(number):
    kind = KINDS[number % len(KINDS)]
    load = "not-found" if number % 50 == 49 else "loaded"
    state = STATES[number // 3 % len(STATES)]
    path = dbus.ObjectPath(f"/org/freedesktop/systemd1/unit/u_5cx2d{number}_2e{kind}")
    return (f"u\\x2d{number}.{kind}", "A unit of the test", load, state, "x", "", path, dbus.UInt32(0), "", path)


def session(number):
    path = dbus.ObjectPath(f"/org/freedesktop/login1/session/s{number}")
    return (str(number), dbus.UInt32(1000), "someone", "seat0" if number % 3 == 0 else "", path)


def of_unit(number, name):
    if number % 41 == 40:
        raise dbus.exceptions.DBusException("gone", name="org.freedesktop.systemd1.NoSuchUnit")
    return {
        "Type": ["notify", "ext4", "oneshot"][number % 3],
        "NRestarts": dbus.UInt32(number % 7),
        "TasksCurrent": dbus.UInt64(number if number % 4 else 2**64 - 1),
        "TasksMax": dbus.UInt64(2**64 - 1 if number % 4 else 512),
        "LastTriggerUSec": dbus.UInt64(1_700_000_000_000_000 + number),
        "NAccepted": dbus.UInt32(number),
        "NConnections": dbus.UInt32(number % 5),
        "NRefused": dbus.UInt32(number % 2),
        "ActiveEnterTimestamp": dbus.UInt64(1_600_000_000_000_000 + number),
    }[name]


def of_session(number, name):
    return {
        "Remote": number % 3 != 0,
        "Type": ["wayland", "tty", "hologram"][number % 3],
        "Class": ["user", "greeter", "manager"][number // 3 % 3],
    }[name]


MANAGER = {"Version": "252.38-1~deb12u1", "Virtualization": "kvm", "SystemState": "running"}


class Everything(dbus.service.FallbackObject):
    SUPPORTS_MULTIPLE_OBJECT_PATHS = True

    @dbus.service.method(SYSTEMD + ".Manager", out_signature="a(ssssssouso)")
    def ListUnits(self):
        return UNITS

    @dbus.service.method(LOGIND + ".Manager", out_signature="a(so)")
    def ListSeats(self):
        return [("seat0", dbus.ObjectPath("/org/freedesktop/login1/seat/seat0"))]

    @dbus.service.method(LOGIND + ".Manager", out_signature="a(susso)")
    def ListSessions(self):
        return SESSIONS

    @dbus.service.method(PROPERTIES, in_signature="ss", out_signature="v", path_keyword="path")
    def Get(self, interface, name, path=None):
        if interface == LOGIND + ".Session":
            return of_session(int(re.search(r"/s(\d+)$", path)[1]), name)
        if interface == SYSTEMD + ".Manager":
            return MANAGER[name]
        return of_unit(int(re.search(r"x2d(\d+)_2e", path)[1]), name)


UNITS = [unit(number) for number in range(int(sys.argv[1]))]
SESSIONS = [session(number) for number in range(int(sys.argv[2]))]
DBusGMainLoop(set_as_default=True)
bus = dbus.SystemBus()
names = [dbus.service.BusName(name, bus) for name in (SYSTEMD, LOGIND)]
everything = Everything(bus, "/org/freedesktop")
print("ready", flush=True)
GLib.MainLoop().run()
