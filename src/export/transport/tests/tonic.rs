//! A receiver of OTLP/gRPC, made of tonic and the service of `opentelemetry-proto`.

use super::authority::Issued;
use super::receiver::listener;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// What it says, and how it is.
pub(super) struct Settings {
    pub(super) say: Result<ExportMetricsServiceResponse, Status>,
    pub(super) tls: Option<(Issued, Option<String>)>,
    pub(super) longest: usize,
    pub(super) takes_gzip: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { say: Ok(ExportMetricsServiceResponse::default()), tls: None, longest: 4 << 20, takes_gzip: true }
    }
}

type Got = Arc<Mutex<Vec<(MetadataMap, ExportMetricsServiceRequest)>>>;

/// The receiver while it runs; it ends with it.
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    pub(super) got: Got,
    running: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.running.abort();
    }
}

struct Service {
    say: Result<ExportMetricsServiceResponse, Status>,
    got: Got,
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        self.got.lock().unwrap().push((metadata, message));
        self.say.clone().map(Response::new)
    }
}

pub(super) async fn start(settings: Settings) -> Receiver {
    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    let got = Got::default();
    let service = Service { say: settings.say, got: Arc::clone(&got) };
    let mut service = MetricsServiceServer::new(service).max_decoding_message_size(settings.longest);
    if settings.takes_gzip {
        service = service.accept_compressed(CompressionEncoding::Gzip);
    }
    let mut server = Server::builder();
    if let Some((issued, clients)) = settings.tls {
        let mut tls = ServerTlsConfig::new().identity(Identity::from_pem(issued.certificate, issued.key));
        if let Some(authority) = clients {
            tls = tls.client_ca_root(Certificate::from_pem(authority));
        }
        server = server.tls_config(tls).unwrap();
    }
    let running = server.add_service(service).serve_with_incoming(TcpIncoming::from(listener));
    let running = tokio::spawn(async move { running.await.unwrap() });
    Receiver { address, got, running }
}
