"""Whether objects of the operator's kinds have only fields that the operator knows: fields.py FILE...

kubernetes-validate knows no custom resources. Models made of the operator's schemas ignore what they do not know, and
refuse what has the wrong type: so what comes out must be what went in."""

import pathlib
import sys

import yaml
from cloudcoil.models.prometheus_operator import v1


def differences(given, kept, place=""):
    """Where two trees differ."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key in given.keys() | kept.keys():
            if key not in kept:
                yield f"{place}.{key}: unknown"
            elif key in given:
                yield from differences(given[key], kept[key], f"{place}.{key}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, (one, other) in enumerate(zip(given, kept)):
            yield from differences(one, other, f"{place}[{number}]")
    elif given != kept:
        yield f"{place}: {given!r} became {kept!r}"


def main():
    seen, wrong = 0, []
    for name in sys.argv[1:]:
        for one in yaml.safe_load_all(pathlib.Path(name).read_text()):
            if one["kind"] != "PodMonitor":
                continue
            seen += 1
            try:
                kept = v1.PodMonitor.model_validate(one).model_dump(by_alias=True, exclude_unset=True, mode="json")
            except ValueError as error:
                wrong.append(f"{name}: {error}")
                continue
            wrong += [f"{name}: {found}" for found in differences(one, kept, one["metadata"]["name"])]
    # A check that sees nothing checks nothing.
    sane = dict(apiVersion="monitoring.coreos.com/v1", kind="PodMonitor", metadata={"name": "x"},
                spec={"selector": {}, "podMetricsEndpoints": [{"pathh": "/"}]})
    known = v1.PodMonitor.model_validate(sane).model_dump(by_alias=True, exclude_unset=True, mode="json")
    if not seen or not list(differences(sane, known)):
        wrong.append("this check is blind")
    for found in wrong:
        print(f"FAILED: {found}", file=sys.stderr)
    if not wrong:
        print(f"{seen} PodMonitors have only fields that the operator knows")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
