//! The best time of each case of a run, and how many times the first case's they are.

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use std::time::{Duration, Instant};

/// Cases that are measured one after another and compared with the first of them.
pub(crate) struct Ratios<'a> {
    title: &'static str,
    group: BenchmarkGroup<'a, WallTime>,
    best: Vec<(&'static str, Duration)>,
}

impl<'a> Ratios<'a> {
    /// No cases yet.
    pub(crate) fn new(criterion: &'a mut Criterion, title: &'static str, throughput: Throughput) -> Self {
        let mut group = criterion.benchmark_group(title);
        group
            .throughput(throughput)
            .sample_size(30)
            .warm_up_time(Duration::from_secs(1))
            .measurement_time(Duration::from_secs(2));
        Self { title, group, best: Vec::new() }
    }

    /// Measures one case.
    pub(crate) fn case(&mut self, name: &'static str, mut run: impl FnMut()) {
        let mut best = Duration::MAX;
        self.group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let mut sum = Duration::ZERO;
                for _ in 0..times {
                    let begun = Instant::now();
                    run();
                    let took = begun.elapsed();
                    best = best.min(took);
                    sum += took;
                }
                sum
            });
        });
        // Left out by the command line's filter.
        if best < Duration::MAX {
            self.best.push((name, best));
        }
    }

    /// Prints the best times and their ratios to the first case's.
    pub(crate) fn print(self) {
        self.group.finish();
        println!("\n{}: best of all runs, and times the first", self.title);
        let Some(&(_, first)) = self.best.first() else { return };
        for (name, best) in self.best {
            println!("  {name:<44} {:>12.1?} {:>8.2}", best, best.as_secs_f64() / first.as_secs_f64());
        }
        println!();
    }
}
