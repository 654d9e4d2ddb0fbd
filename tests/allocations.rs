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
/// What `filesystem` may take besides, for each mount: paths go to the child as owned strings.
const FOR_EACH_MOUNT: usize = 6;

#[test]
fn a_steady_round_allocates_next_to_nothing() {
    let machine = Machine::new(Roots::default(), Clock::Real, None, Child::none());
    let specs: Vec<_> = ALL.iter().copied().filter(|spec| spec.default).collect();
    let engine = Engine::new(machine, &specs, Duration::ZERO, Instruments::new("test"));
    let chosen = |spec: &&'static Spec| Chosen { spec, options: Options::new(spec.options, &[]).unwrap() };
    engine.configure(&specs.iter().map(chosen).collect::<Vec<_>>());
    let all = engine.select(None, &[], &[]).unwrap();
    for (spec, &at) in specs.iter().zip(&all) {
        println!("{:>4} {}", per_round(&engine, &[at]), spec.name);
    }
    println!("{:>4} nothing, but the page about itself", per_round(&engine, &[]));
    let hot = per_round(&engine, &engine.select(None, &[], &["filesystem".to_owned()]).unwrap());
    let each = per_round(&engine, &all);
    println!("{hot:>4} all but filesystem\n{each:>4} all");
    assert!(hot < ALLOCATIONS_MAX, "{hot} allocations in a steady round, {ALLOCATIONS_MAX} at most");
    let mounts = std::fs::read_to_string("/proc/1/mountinfo").unwrap_or_default().lines().count();
    let limit = ALLOCATIONS_MAX + FOR_EACH_MOUNT * mounts;
    assert!(each < limit, "{each} allocations in a steady round with {mounts} mounts, {limit} at most");
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
