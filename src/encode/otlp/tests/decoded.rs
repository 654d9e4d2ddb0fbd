//! Requests as a receiver sees them: decoded by `opentelemetry-proto`, point by point.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{NumberDataPoint, number_data_point};
use prost::Message;
use std::collections::BTreeMap;

pub(crate) type Attributes = BTreeMap<String, String>;

/// How much a point says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Figure {
    None,
    Int(i64),
    Float(f64),
    /// Bounds, counts of each bucket, count, sum.
    Histogram(Vec<f64>, Vec<u64>, u64, Option<f64>),
    /// Quantiles, count, sum.
    Summary(Vec<(f64, f64)>, u64, f64),
}

/// A point with all that is said around it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) resource: Attributes,
    pub(crate) name: String,
    pub(crate) help: String,
    /// `gauge`, `sum`, `monotonic sum`, `histogram`, `summary`.
    pub(crate) form: &'static str,
    pub(crate) labels: Attributes,
    pub(crate) start: u64,
    pub(crate) time: u64,
    pub(crate) figure: Figure,
    pub(crate) is_gone: bool,
}

/// What both kinds of points have.
struct Head {
    labels: Vec<KeyValue>,
    start: u64,
    time: u64,
    flags: u32,
}

/// The points of a request, in its order.
pub(crate) fn points(request: &[u8]) -> Vec<Point> {
    let mut found = Vec::new();
    for of_resource in ExportMetricsServiceRequest::decode(request).unwrap().resource_metrics {
        let resource = attributes(of_resource.resource.unwrap().attributes);
        for of_scope in of_resource.scope_metrics {
            let scope = of_scope.scope.unwrap();
            assert_eq!((&*scope.name, &*scope.version), ("wholenode", env!("CARGO_PKG_VERSION")));
            for metric in of_scope.metrics {
                assert_eq!(metric.unit, "");
                let mut push = |form, head: Head, figure| {
                    let Head { labels, start, time, flags } = head;
                    let (resource, name, help) = (resource.clone(), metric.name.clone(), metric.description.clone());
                    let (labels, is_gone) = (attributes(labels), flags == 1);
                    found.push(Point { resource, name, help, form, labels, start, time, figure, is_gone });
                };
                of_metric(metric.data.unwrap(), &mut push);
            }
        }
    }
    found
}

fn of_metric(data: Data, push: &mut impl FnMut(&'static str, Head, Figure)) {
    match data {
        Data::Gauge(gauge) => gauge.data_points.into_iter().map(number).for_each(|(head, n)| push("gauge", head, n)),
        Data::Sum(sum) => {
            assert_eq!(sum.aggregation_temporality, 2);
            let form = if sum.is_monotonic { "monotonic sum" } else { "sum" };
            sum.data_points.into_iter().map(number).for_each(|(head, n)| push(form, head, n));
        }
        Data::Histogram(histogram) => {
            assert_eq!(histogram.aggregation_temporality, 2);
            for point in histogram.data_points {
                let (labels, start, time) = (point.attributes, point.start_time_unix_nano, point.time_unix_nano);
                let figure = Figure::Histogram(point.explicit_bounds, point.bucket_counts, point.count, point.sum);
                push("histogram", Head { labels, start, time, flags: point.flags }, figure);
            }
        }
        Data::Summary(summary) => {
            for point in summary.data_points {
                let (labels, start, time) = (point.attributes, point.start_time_unix_nano, point.time_unix_nano);
                let quantiles = point.quantile_values.iter().map(|quantile| (quantile.quantile, quantile.value));
                let figure = Figure::Summary(quantiles.collect(), point.count, point.sum);
                push("summary", Head { labels, start, time, flags: point.flags }, figure);
            }
        }
        Data::ExponentialHistogram(_) => panic!("none is ever written"),
    }
}

fn number(point: NumberDataPoint) -> (Head, Figure) {
    let figure = match point.value {
        Some(number_data_point::Value::AsInt(n)) => Figure::Int(n),
        Some(number_data_point::Value::AsDouble(x)) => Figure::Float(x),
        None => Figure::None,
    };
    let (labels, start, time) = (point.attributes, point.start_time_unix_nano, point.time_unix_nano);
    (Head { labels, start, time, flags: point.flags }, figure)
}

fn attributes(pairs: Vec<KeyValue>) -> Attributes {
    let count = pairs.len();
    let found: Attributes = pairs.into_iter().map(|pair| (pair.key, text(pair.value.unwrap()))).collect();
    assert_eq!(found.len(), count, "a name comes twice: {found:?}");
    found
}

fn text(value: AnyValue) -> String {
    match value.value.unwrap() {
        Any::StringValue(text) => text,
        Any::IntValue(n) => format!("int {n}"),
        Any::ArrayValue(list) => format!("[{}]", list.values.into_iter().map(text).collect::<Vec<_>>().join(", ")),
        other => panic!("{other:?}"),
    }
}
