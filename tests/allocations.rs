//! A steady round allocates next to nothing, and neither does a page. A binary of its own: it counts what all threads
//! allocate, and so there is one test.

#![allow(clippy::unwrap_used)]

use collectors::kit::{Child, Clock, Machine, Options, Roots};
use collectors::{ALL, Chosen, Spec};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use wholenode::encode::otlp::{Otlp, Requests, Resource, Shape};
use wholenode::encode::{Format, Page, Text};
use wholenode::engine::{Engine, Instruments};
use wholenode::serve::{Making, Pages, Selection, Settings, bind, start};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ROUNDS: usize = 20;
const ALLOCATIONS_MAX: usize = 50;
const PAGES: usize = 200;
const PAGE_MAX: usize = 12;

#[test]
fn a_steady_round_and_a_page_allocate_next_to_nothing() {
    let machine = Machine::new(Roots::default(), Clock::Real, None, Child::new(env!("CARGO_BIN_EXE_wholenode")));
    let specs: Vec<_> = ALL.iter().copied().filter(|spec| spec.default).collect();
    let engine = Engine::new(machine, &specs, Duration::ZERO, Instruments::new("test"));
    let chosen = |spec: &&'static Spec| Chosen { spec, options: Options::new(spec.options, &[]).unwrap() };
    engine.configure(&specs.iter().map(chosen).collect::<Vec<_>>());
    let all = engine.select(None, &[], &[]).unwrap();
    for (spec, &at) in specs.iter().zip(&all) {
        println!("{:>4} {}", per_round(&engine, &[at]), spec.name);
    }
    println!("{:>4} nothing, but the page about itself", per_round(&engine, &[]));
    let allocations = per_round(&engine, &all);
    println!("{allocations:>4} all");
    assert!(allocations < ALLOCATIONS_MAX, "{allocations} allocations in a steady round, {ALLOCATIONS_MAX} at most");
    for per_container in [false, true] {
        assert_eq!(per_push(&engine, &all, per_container), 0, "a push allocates");
    }
    let allocations = per_page();
    println!("{allocations:>4} a page");
    assert!(allocations <= PAGE_MAX, "{allocations} allocations for a page, {PAGE_MAX} at most");
}

/// How often the requests of a round ask for memory. Now and then a round is none like the one before, since something
/// comes or goes: half of them tell.
fn per_push(engine: &Engine, selection: &[usize], per_container: bool) -> usize {
    let shape = Shape { per_container, ..Shape::default() };
    let (mut otlp, mut out) = (Otlp::new(Resource::default(), shape), Requests::default());
    let mut push = || {
        let ask = engine.begin(selection.into(), Duration::from_secs(10));
        let snapshot = engine.work(&ask).unwrap();
        let region = Region::new(ALLOCATOR);
        otlp.encode(&snapshot, Clock::Real.boot(), |_| true, &mut out);
        let stats = region.change();
        assert!(out.points() > 100, "{} points", out.points());
        stats.allocations + stats.reallocations
    };
    (0..5).for_each(|_| {
        push();
    });
    let mut pushes: Vec<usize> = (0..ROUNDS).map(|_| push()).collect();
    pushes.sort_unstable();
    pushes[ROUNDS / 2]
}

/// How often a page that says one word asks for memory, from the request to the answer.
fn per_page() -> usize {
    let bound = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let address = bound[0].address().unwrap();
    let running = start(Settings::default(), Arc::new(OneWord), bound, Arc::default()).unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let mut answer = vec![0; 4096];
    let mut ask = || {
        client.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        while !client.read(&mut answer).is_ok_and(|read| answer[..read].ends_with(b"word 1\n")) {}
    };
    (0..20).for_each(|_| ask());
    let region = Region::new(ALLOCATOR);
    (0..PAGES).for_each(|_| ask());
    let stats = region.change();
    running.stop();
    // What happens once in a while counts for nothing.
    (stats.allocations + stats.reallocations) / PAGES
}

struct OneWord;

impl Pages for OneWord {
    fn select(&self, _: Option<&str>, _: &[String], _: &[String]) -> Result<Selection, String> {
        Ok(Arc::new([]))
    }

    fn begin(&self, _: &Selection, _: Format, _: bool, _: Duration) -> Box<dyn Making> {
        Box::new(OneWord)
    }
}

impl Making for OneWord {
    fn make(&self) -> Option<Page> {
        Some(Page::plain(b"word 1\n".to_vec()))
    }

    fn is_held_up(&self) -> bool {
        false
    }
}

/// How often a steady round of these collectors asks for memory, on whatever threads.
fn per_round(engine: &Engine, selection: &[usize]) -> usize {
    let (mut text, mut page) = (Text::default(), Vec::with_capacity(1 << 20));
    let mut round = || {
        let ask = engine.begin(selection.into(), Duration::from_secs(10));
        page = text.page(&engine.work(&ask).unwrap(), Format::Text, std::mem::take(&mut page));
    };
    // Collectors open, buffers grow.
    (0..5).for_each(|_| round());

    let region = Region::new(ALLOCATOR);
    (0..ROUNDS).for_each(|_| round());
    let stats = region.change();
    (stats.allocations + stats.reallocations) / ROUNDS
}
