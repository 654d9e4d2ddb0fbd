//! What is told of systemd, and of its units.

use crate::model::{Family, counter, gauge};

pub(super) const NAME: &[&str; 1] = &["name"];
pub(super) const STATE: &[&str; 1] = &["state"];

pub(super) static UNIT_STATE: Family =
    gauge("node_systemd_unit_state", "1 for the state that the unit is in, 0 for others.", &["name", "state", "type"]);
pub(super) static UNITS: Family =
    gauge("node_systemd_units", "Units by state, those that are left out included.", STATE);
pub(super) static RUNNING: Family =
    gauge("node_systemd_system_running", "1 if all that was to be started is up and nothing has failed.", &[]);
pub(super) static VERSION: Family =
    gauge("node_systemd_version", "The version of systemd, as a number and as text.", &["version"]);
pub(super) static VIRTUALIZATION: Family = gauge(
    "node_systemd_virtualization_info",
    "What systemd runs in: none, or a kind of virtual machine or container.",
    &["virtualization_type"],
);
pub(super) static START: Family = gauge(
    "node_systemd_unit_start_time_seconds",
    "When the unit became active, in seconds since 1970; 0 if it is not.",
    NAME,
);
pub(super) static TASKS: Family =
    gauge("node_systemd_unit_tasks_current", "Threads and processes of the service.", NAME);
pub(super) static TASKS_MAX: Family =
    gauge("node_systemd_unit_tasks_max", "How many threads and processes the service may have.", NAME);
pub(super) static RESTARTS: Family =
    counter("node_systemd_service_restart_total", "How often systemd itself has restarted the service.", NAME);
pub(super) static TRIGGER: Family = gauge(
    "node_systemd_timer_last_trigger_seconds",
    "When the timer went off last, in seconds since 1970; 0 if it never did.",
    NAME,
);
pub(super) static ACCEPTED: Family = counter(
    "node_systemd_socket_accepted_connections_total",
    "Connections that the socket has accepted, where systemd accepts them.",
    NAME,
);
pub(super) static CONNECTIONS: Family =
    gauge("node_systemd_socket_current_connections", "Connections of the socket that are open.", NAME);
pub(super) static REFUSED: Family = gauge(
    "node_systemd_socket_refused_connections_total",
    "Connections that the socket has refused, because there were too many.",
    NAME,
);
