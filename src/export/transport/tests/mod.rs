//! Against real receivers on this machine: the protocols, TLS, proxies, and everything that goes wrong.

mod authority;
mod grpc;
mod hostile;
mod http;
mod names;
mod proxy;
mod receiver;
mod tls;
mod tonic;

use super::{Outcome, Protocol, Target, Transport};
use crate::encode::Gzip;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point,
};
use prost::Message;
use std::io::Write;
use std::time::Duration;

/// Long enough for anything that works.
const PATIENCE: Duration = Duration::from_secs(20);

fn target(url: &str, protocol: Protocol) -> Target {
    Target {
        url: url.to_owned(),
        protocol,
        gzip: true,
        timeout: PATIENCE,
        headers: Vec::new(),
        tls: Default::default(),
        auth: None,
        proxy: Default::default(),
    }
}

/// A request of so many points.
fn request(points: u32) -> ExportMetricsServiceRequest {
    let point = |at: u32| NumberDataPoint { time_unix_nano: at.into(), ..NumberDataPoint::default() };
    let gauge = Gauge { data_points: (0..points).map(point).collect() };
    let metric = Metric { name: "up".to_owned(), data: Some(metric::Data::Gauge(gauge)), ..Metric::default() };
    let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() }],
    }
}

async fn send(transport: &mut Transport) -> Outcome {
    transport.send(&request(3).encode_to_vec(), 3).await
}

#[test]
fn a_transport_may_be_used_in_a_task() {
    fn is_send<T: Send>(_: T) {}
    let mut transport = Transport::new(target("http://a/", Protocol::HttpProtobuf)).unwrap();
    is_send(send(&mut transport));
}

fn taken() -> Outcome {
    Outcome::Taken { rejected: 0, message: None }
}

/// Why a request is to be sent again, if it is.
#[track_caller]
fn later(outcome: Outcome) -> String {
    match outcome {
        Outcome::Later { after: None, why } => why,
        other => panic!("expected later, got {other:?}"),
    }
}

/// Why a request is refused, if it is.
#[track_caller]
fn refused(outcome: Outcome) -> String {
    match outcome {
        Outcome::Refused { why } => why,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// The compressor was made for pages of text; here it serves as well.
#[test]
fn requests_shrink_nearly_as_much_as_with_the_usual_compressor() {
    let mut request = request(5000);
    for resource in &mut request.resource_metrics {
        for metric in resource.scope_metrics.iter_mut().flat_map(|scope| &mut scope.metrics) {
            let Some(metric::Data::Gauge(gauge)) = &mut metric.data else { continue };
            for (at, point) in gauge.data_points.iter_mut().enumerate() {
                let pod = format!("app-{}-7d9f8c6b5-{:05x}", at % 50, at % 50 * 7919);
                let pairs = [("container", "app"), ("image", "registry.example/team/app:v1.2.3"), ("pod", &pod)];
                point.attributes = pairs.map(|(key, value)| text(key, value)).to_vec();
                (point.start_time_unix_nano, point.time_unix_nano) = (1_700_000_000 << 30, 1_790_000_000 << 30);
                point.value = Some(number_data_point::Value::AsDouble((at * at) as f64 / 7.0));
            }
        }
    }
    let raw = request.encode_to_vec();
    let (mut ours, mut usual) = (Vec::new(), GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    Gzip::default().pack(&raw, &mut ours);
    usual.write_all(&raw).unwrap();
    let usual = usual.finish().unwrap().len();
    assert!(ours.len() < usual * 6 / 5, "{} bytes are {} and {usual}", raw.len(), ours.len());
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}
