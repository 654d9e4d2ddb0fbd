//! Pushing once, for those who start it by a clock of their own.

use super::endpoint::{Endpoint, Export};
use super::exporter::PATIENCE;
use super::keeper;
use super::mailbox::Round;
use super::pusher::Carry;
use super::resource;
use super::spool::{Next, Spool};
use super::time::{Moment, Time};
use super::transport::{Outcome, Transport};
use crate::encode::otlp::{self, Otlp, Requests, Shape};
use crate::engine::Engine;
use collectors::kit::{Filter, Host};
use collectors::model::{Family, Snapshot};
use std::sync::Arc;
use std::time::Duration;

/// Pushes what waits in folders, and what the machine says now, to all endpoints. What a receiver does not take now goes to
/// its folder, if it has one. The clock is taken as it is.
///
/// # Errors
/// One line about the first thing that was not taken.
pub(crate) async fn push(export: &Export, families: &Filter, engine: &Arc<Engine>) -> Result<(), String> {
    if export.endpoints.is_empty() {
        return Err("nothing to push to: expected --otlp.endpoint".to_owned());
    }
    let selection = engine.select(None, &[], &[])?;
    let snapshot = engine.ask_once(selection.into(), PATIENCE);
    let mut time = Time::new(Arc::clone(engine.machine()), Duration::ZERO);
    time.look();
    let mut host = Host::new(Arc::clone(engine.machine()));
    let who = resource::resource(&export.identity, &mut host);
    let mut done = Ok(());
    for endpoint in &export.endpoints {
        let carrier = Transport::new(endpoint.target.clone())?;
        let spool = match &endpoint.spool.directory {
            Some(_) => Some(keeper::open(&endpoint.spool, time.moment())?),
            None => None,
        };
        if let Some(boot_time) = spool.as_ref().and_then(|spool| spool.boot_time(time.boot())) {
            time.adopt(boot_time);
        }
        let at = time.moment();
        let shape = Shape { per_container: endpoint.per_container, started: at.now, ..Shape::default() };
        let round = round(endpoint, families, &snapshot, &mut Otlp::new(who.clone(), shape), at);
        let pushed = Once { carrier, at, wrong: None }.push(spool, round).await;
        done = done.and(pushed.map_err(|why| format!("{}: {why}", endpoint.name)));
    }
    done
}

fn round(endpoint: &Endpoint, families: &Filter, snapshot: &Snapshot, encoder: &mut Otlp, at: Moment) -> Round {
    let mut requests = Requests::default();
    let keep = |family: &Family| families.keeps(&family.name) && endpoint.families.keeps(&family.name);
    encoder.encode(snapshot, at.now, keep, &mut requests);
    Round::new(requests, at.now, at.boot)
}

/// What was not answered for waits in the folder, if there is one.
fn keep(spool: Option<Spool>, round: &Round, at: Moment) {
    if let Some(mut spool) = spool {
        spool.push(&round.records(), at);
        spool.close(at);
    }
}

/// One endpoint.
struct Once<C> {
    carrier: C,
    at: Moment,
    /// What was not taken, first.
    wrong: Option<String>,
}

impl<C: Carry> Once<C> {
    async fn push(mut self, mut spool: Option<Spool>, mut round: Round) -> Result<(), String> {
        let Some(boot_time) = self.at.boot_time else {
            keep(spool, &round, self.at);
            return Err("the clock says that the machine was started before 2020".to_owned());
        };
        while let Some(spool) = &mut spool
            && let Next::Record { ticket, record, boot_time } = spool.next(self.at)
            && self.is_answered(record.request, boot_time, record.points).await
        {
            spool.answered(ticket);
        }
        while let Some((request, points)) = round.next() {
            if !self.is_answered(request.to_vec(), boot_time, points).await {
                break;
            }
            round.answered();
        }
        keep(spool, &round, self.at);
        self.wrong.map_or(Ok(()), Err)
    }

    /// Sends a request: whether it is done with.
    async fn is_answered(&mut self, mut request: Vec<u8>, boot_time: u64, points: u32) -> bool {
        let (is_done, wrong) = match otlp::date(&mut request, boot_time) {
            Err(error) => (true, Some(format!("dropped: {error}"))),
            Ok(()) => match self.carrier.send(&request, points).await {
                Outcome::Taken { rejected: 0, .. } => (true, None),
                Outcome::Taken { rejected, message } => {
                    (true, Some(format!("{rejected} points rejected: {}", message.unwrap_or_default())))
                }
                Outcome::Refused { why } => (true, Some(format!("refused: {why}"))),
                Outcome::Later { why, .. } => (false, Some(why)),
            },
        };
        self.wrong = self.wrong.take().or(wrong);
        is_done
    }
}
