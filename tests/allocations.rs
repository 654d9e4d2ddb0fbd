//! A steady round allocates next to nothing. A binary of its own: it counts what all threads allocate.

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
    let machine = Machine::new(Roots::default(), Clock::Real, None, Child::none());
    let specs: Vec<_> = ALL.iter().copied().filter(|spec| spec.default).collect();
    let engine = Engine::new(machine, &specs, Duration::ZERO, Instruments::new("test"));
    let chosen = |spec: &&'static Spec| Chosen { spec, options: Options::new(spec.options, &[]).unwrap() };
    engine.configure(&specs.iter().map(chosen).collect::<Vec<_>>());
    let selection = engine.select(None, &[], &[]).unwrap();
    let (mut text, mut page) = (Text::default(), Vec::with_capacity(1 << 20));
    let mut round = || {
        page.clear();
        text.encode(&engine.ask(&selection, Duration::from_secs(10)), Format::Text, |_| true, &mut page);
    };
    // Lanes start, collectors open, buffers grow.
    (0..5).for_each(|_| round());

    let region = Region::new(ALLOCATOR);
    (0..ROUNDS).for_each(|_| round());
    let stats = region.change();
    let each = (stats.allocations + stats.reallocations) / ROUNDS;
    println!("{each} allocations, {} bytes in a steady round", stats.bytes_allocated / ROUNDS);
    assert!(each < ALLOCATIONS_MAX, "{each} allocations in a steady round, {ALLOCATIONS_MAX} at most");
}
