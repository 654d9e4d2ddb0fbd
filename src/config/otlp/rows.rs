//! The settings of pushing, in two tables: those of one endpoint, and those that all endpoints share.

use collectors::kit::{Opt, OptKind};

/// What stands before the names in these tables: in flags, in the file, in errors.
pub(in crate::config) const PREFIX: &str = "otlp.";

/// What can be said of an endpoint: as `otlp.NAME`, and in the file of further ones as `otlp.endpoints.WHICH.NAME`.
pub(in crate::config) static ENDPOINT: &[Opt] = &[
    row(
        "endpoint",
        OptKind::Text,
        "",
        "Where to push: http://HOST:4318 or https://HOST:4318, to which /v1/metrics is added, or an address with its path; \
         with grpc http://HOST:4317. Nothing is pushed without it.",
    ),
    row("protocol", OptKind::Text, "http/protobuf", "http/protobuf or grpc."),
    row("interval", OptKind::Span, "60s", "How often to push. When in the interval is up to the machine's id."),
    row("timeout", OptKind::Span, "10s", "How long a request may take, its answer included."),
    row(
        "headers",
        OptKind::List,
        "",
        "NAME=VALUE, a header of each request. Others can see flags and variables: secrets belong into a file.",
    ),
    row("compression", OptKind::Text, "gzip", "gzip or none."),
    row(
        "insecure",
        OptKind::Flag,
        "false",
        "With grpc, where the endpoint says neither http:// nor https://: without TLS.",
    ),
    row(
        "ca-file",
        OptKind::Text,
        "",
        "A PEM file of those who may sign the receiver's certificate, in the place of the system's.",
    ),
    row("cert-file", OptKind::Text, "", "A PEM file with the certificate that the receiver is shown, and its chain."),
    row("key-file", OptKind::Text, "", "A PEM file with the key of that certificate."),
    row("server-name", OptKind::Text, "", "The name in the receiver's certificate, if it is not the endpoint's."),
    row(
        "insecure-skip-verify",
        OptKind::Flag,
        "false",
        "Take any certificate: whoever sits in between can read and change everything.",
    ),
    row("bearer-token-file", OptKind::Text, "", "A file with the token to authorize with; it is read again."),
    row("basic-user", OptKind::Text, "", "The user to authorize as, with basic-password-file."),
    row("basic-password-file", OptKind::Text, "", "A file with the user's password; it is read again."),
    row(
        "proxy",
        OptKind::Text,
        "",
        "The HTTP proxy on the way, http://HOST:PORT; none for no proxy; if nothing is said, what HTTPS_PROXY, HTTP_PROXY \
         and NO_PROXY say.",
    ),
    row(
        "metrics-include",
        OptKind::Instead("metrics-exclude"),
        "",
        "Push only the metrics whose name this expression finds. Not beside metrics-exclude.",
    ),
    row(
        "metrics-exclude",
        OptKind::Regex,
        "",
        "Don't push the metrics whose name this expression finds. What metrics.include and metrics.exclude leave out is \
         not pushed either.",
    ),
    row(
        "resource-per-container",
        OptKind::Flag,
        "false",
        "One resource for each container and pod (k8s.pod.uid, container.id …), and not one for all.",
    ),
    row(
        "replay-first",
        OptKind::Flag,
        "false",
        "After an outage, push what waited before what is new: for receivers that take samples in order only.",
    ),
    row(
        "spool.directory",
        OptKind::Text,
        "",
        "A folder where what could not be pushed waits, and survives a restart; in memory if nothing is said.",
    ),
    row(
        "spool.max-bytes",
        OptKind::Size,
        "",
        "How much may wait before the oldest is dropped: 64MiB in a folder, 8MiB in memory, if nothing is said.",
    ),
    row("spool.max-age", OptKind::Span, "48h", "How old what waits may be."),
];

/// What holds for all endpoints.
pub(in crate::config) static SHARED: &[Opt] = &[
    row(
        "clock-wait",
        OptKind::Span,
        "5m",
        "After the start, wait at most this long for a synchronised clock; what is measured meanwhile is pushed then.",
    ),
    row("service-name", OptKind::Text, "wholenode", "The resource's service.name, which is the job in Prometheus."),
    row(
        "instance-id",
        OptKind::Text,
        "",
        "The resource's service.instance.id, which is the instance in Prometheus; the host name if nothing is said.",
    ),
    row("cluster-name", OptKind::Text, "", "The resource's k8s.cluster.name."),
    row(
        "resource-attributes",
        OptKind::List,
        "",
        "NAME=VALUE, an attribute of the resource, in the place of what was found.",
    ),
];

/// All rows with their whole names.
pub(in crate::config) fn rows() -> impl Iterator<Item = (String, &'static Opt)> {
    ENDPOINT.iter().chain(SHARED).map(|row| (format!("{PREFIX}{}", row.name), row))
}

const fn row(name: &'static str, kind: OptKind, default: &'static str, help: &'static str) -> Opt {
    Opt { name, kind, default, help }
}
