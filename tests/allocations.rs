//! A steady round allocates next to nothing. A binary of its own: it counts what all threads allocate.

#![allow(clippy::unwrap_used)]

use collectors::kit::{Child, Clock, Machine, Options, Roots};
use collectors::{ALL, Chosen, Spec};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::time::Duration;
use wholenode::encode::{Format, Text};
use wholenode::engine::{Engine, Instruments};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ROUNDS: usize = 20;
const ALLOCATIONS_MAX: usize = 50;

#[test]
fn a_steady_round_allocates_next_to_nothing() {
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
}

/// How often a steady round of these collectors asks for memory, on whatever threads.
fn per_round(engine: &Engine, selection: &[usize]) -> usize {
    let (mut text, mut page) = (Text::default(), Vec::with_capacity(1 << 20));
    let mut round = || {
        page.clear();
        let ask = engine.begin(selection.into(), Duration::from_secs(10));
        text.encode(&engine.work(&ask).unwrap(), Format::Text, |_| true, &mut page);
    };
    // Collectors open, buffers grow.
    (0..5).for_each(|_| round());

    let region = Region::new(ALLOCATOR);
    (0..ROUNDS).for_each(|_| round());
    let stats = region.change();
    (stats.allocations + stats.reallocations) / ROUNDS
}
