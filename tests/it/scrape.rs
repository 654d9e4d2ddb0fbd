//! The page on the live machine, and how it is asked for.

use crate::daemon::{Daemon, figure, has};
use collectors::kit::exposition::{Dialect, parse};
use std::io::Read;

#[test]
fn the_page_is_exact_to_the_grammar() {
    let daemon = Daemon::start(&[]);
    let page = daemon.get("/metrics");
    let document = parse(page.as_bytes(), Dialect::Prometheus).unwrap();
    let names: Vec<&str> = document.families.iter().map(|parsed| parsed.family.name.as_ref()).collect();
    assert!(
        names.is_sorted() && names.contains(&"node_load1") && names.contains(&"node_cpu_seconds_total"),
        "{names:?}"
    );
    assert!(has(&page, "node_scrape_collector_success{collector=\"stat\"} 1"));
}

#[test]
fn promtool_finds_nothing_in_it_that_node_exporter_does_not_do_too() {
    if std::process::Command::new("promtool").arg("--version").output().is_err() {
        return crate::skipped("promtool is not on this machine");
    }
    let page = Daemon::start(&[]).get("/metrics");
    let ours = |line: &&str| line.contains("wholenode_") || line.contains("node_scrape_collector");
    let lines: Vec<&str> = page.lines().filter(ours).collect();
    let mut promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut promtool.stdin.take().unwrap(), format!("{}\n", lines.join("\n")).as_bytes())
        .unwrap();
    let done = promtool.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn every_page_is_there() {
    let daemon = Daemon::start(&[]);
    assert_eq!(figure(&daemon.get("/metrics/node"), "node_scrape_collector_success{collector=\"loadavg\"}"), Some(1.0));
    assert_eq!(daemon.ask("GET", "/-/healthy", "").status, 200);
    assert_eq!(daemon.ask("GET", "/-/ready", "").status, 200);
    assert!(daemon.get("/").contains("/metrics"));
    assert_eq!(daemon.ask("GET", "/metrics/none", "").status, 404);
    assert_eq!(daemon.ask("DELETE", "/metrics", "").status, 405);
}

#[test]
fn filters_choose_collectors() {
    let daemon = Daemon::start(&["--no-collector.hwmon"]);
    let page = daemon.get("/metrics?collect[]=loadavg&collect%5B%5D=uname");
    assert!(
        page.contains("node_load1 ") && page.contains("node_uname_info{") && !page.contains("node_cpu_seconds_total")
    );
    let page = daemon.get("/metrics?exclude[]=loadavg&exclude[]=none");
    assert!(!page.contains("node_load1 ") && page.contains("node_cpu_seconds_total"));
    for (query, sentence) in [
        ("collect[]=none", "missing collector: none"),
        ("collect[]=hwmon", "disabled collector: hwmon"),
        ("collect[]=cpu&exclude[]=stat", "Combined collect and exclude queries are not allowed."),
    ] {
        let answer = daemon.ask("GET", &format!("/metrics?{query}"), "");
        assert_eq!((answer.status, answer.text().trim()), (400, sentence));
    }
}

#[test]
fn a_filter_opens_nothing_else() {
    let daemon = Daemon::start(&[]);
    // From the second page on, there is one more: the daemon's own, about itself.
    for handles in [1.0, 2.0] {
        assert_eq!(figure(&daemon.get("/metrics?collect[]=stat"), "wholenode_kept_handles"), Some(handles));
    }
}

#[test]
fn excluding_everything_gives_no_collector_at_all() {
    let daemon = Daemon::start(&["--collector.disable-defaults", "--collector.loadavg"]);
    let page = daemon.get("/metrics?exclude[]=loadavg");
    assert!(!page.contains("node_load1") && !page.contains("collector=\"loadavg\""), "{page}");
}

#[test]
fn the_daemon_tells_of_itself_as_client_libraries_do() {
    let daemon = Daemon::start(&["--collector.disable-defaults"]);
    let (first, page) = (daemon.get("/metrics"), daemon.get("/metrics/node"));
    let of_kernel = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", daemon.pid())).unwrap();
    let status = of_kernel("status");
    let limits = of_kernel("limits");
    let word = |text: &str, line: &str, nth: usize| {
        let line = text.lines().find_map(|found| found.strip_prefix(line)).unwrap();
        line.split_whitespace().nth(nth).unwrap().parse::<f64>().ok()
    };
    let is_near = |series: &str, expected: f64, by: f64| {
        let found = figure(&page, series).unwrap();
        assert!((found - expected).abs() <= by, "{series} {found}, and {expected} by the kernel");
    };
    is_near("process_resident_memory_bytes", word(&status, "VmRSS:", 0).unwrap() * 1024.0, 4e6);
    is_near("process_virtual_memory_bytes", word(&status, "VmSize:", 0).unwrap() * 1024.0, 2e8);
    is_near("process_max_fds", word(&limits, "Max open files", 0).unwrap(), 0.0);
    let unlimited = 2f64.powi(64);
    is_near("process_virtual_memory_max_bytes", word(&limits, "Max address space", 0).unwrap_or(unlimited), 0.0);
    let files = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    is_near("process_open_fds", files as f64, 3.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    is_near("process_start_time_seconds", now.as_secs_f64(), 60.0);
    let cpu = |page: &str| figure(page, "process_cpu_seconds_total").unwrap();
    assert!(cpu(&page) >= cpu(&first) && cpu(&page) > 0.0);
    assert!(!page.contains("process_network"), "a namespace's traffic is not the process's");
    let errors = |cause| figure(&page, &format!("promhttp_metric_handler_errors_total{{cause=\"{cause}\"}}"));
    assert_eq!((errors("gathering"), errors("encoding")), (Some(0.0), Some(0.0)));
}

#[test]
fn each_scrape_is_a_fresh_round_and_two_at_once_are_one() {
    let daemon = Daemon::start(&["--collector.disable-defaults", "--collector.loadavg"]);
    let rounds = |page: &str| figure(page, "wholenode_rounds_total{collector=\"loadavg\"}").unwrap();
    let mut last = 0.0;
    for _ in 0..3 {
        std::thread::sleep(std::time::Duration::from_millis(120));
        let now = rounds(&daemon.get("/metrics"));
        assert_eq!(now, last + 1.0);
        last = now;
    }
    std::thread::sleep(std::time::Duration::from_millis(120));
    let pages: Vec<f64> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..8).map(|_| scope.spawn(|| rounds(&daemon.get("/metrics")))).collect();
        askers.into_iter().map(|asker| asker.join().unwrap()).collect()
    });
    assert!(pages.iter().all(|&now| now > last), "{pages:?}");
}

fn zipped(daemon: &Daemon, path: &str) -> String {
    let answer = daemon.ask("GET", path, "Accept-Encoding: gzip\r\n");
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let mut page = String::new();
    flate2::read::GzDecoder::new(&answer.body[..]).read_to_string(&mut page).unwrap();
    page
}

#[test]
fn pages_that_are_alike_differ_in_figures_only() {
    let collectors = ["uname", "loadavg", "meminfo", "stat"].map(|name| format!("--collector.{name}"));
    let collectors = collectors.iter().map(String::as_str);
    let daemon = Daemon::start(&["--collector.disable-defaults"].into_iter().chain(collectors).collect::<Vec<_>>());
    let rounds = "wholenode_rounds_total{collector=\"stat\"}";
    let mut without_figures = Vec::new();
    for round in 1..=8 {
        std::thread::sleep(std::time::Duration::from_millis(120));
        let page = zipped(&daemon, "/metrics");
        assert_eq!(figure(&page, rounds), Some(f64::from(round)));
        let head = |line: &str| {
            if line.starts_with('#') { line.to_owned() } else { line.rsplit_once(' ').unwrap().0.to_owned() }
        };
        without_figures.push(page.lines().map(head).collect::<Vec<_>>());
    }
    // The first page tells nothing of the one before, nor perhaps of what opens late.
    assert!(without_figures[3..].iter().all(|page| *page == without_figures[2]));
}

#[test]
fn forms_and_encodings() {
    let daemon = Daemon::start(&["--web.enable-openmetrics"]);
    let plain = daemon.ask("GET", "/metrics?collect[]=uname", "");
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let accept =
        "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2\r\n";
    let open = daemon.ask("GET", "/metrics?collect[]=uname", accept);
    assert!(open.header("content-type").unwrap().starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(open.text().ends_with("# EOF\n"));

    assert!(zipped(&daemon, "/metrics").contains("node_load1 "));

    let head = daemon.ask("HEAD", "/metrics", "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(head.header("content-length").unwrap().parse::<usize>().unwrap() > 1000);
}

#[test]
fn openmetrics_is_served_only_when_enabled() {
    let daemon = Daemon::start(&[]);
    let answer = daemon.ask("GET", "/metrics", "Accept: application/openmetrics-text;version=1.0.0\r\n");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
}

#[test]
fn families_can_be_left_out_and_the_daemon_be_silent_about_itself() {
    let daemon = Daemon::start(&["--metrics.exclude=^node_load", "--web.disable-exporter-metrics"]);
    let page = daemon.get("/metrics");
    let is_own = |line: &str| ["wholenode_", "promhttp_", "process_"].iter().any(|word| line.starts_with(word));
    assert!(!page.contains("node_load1") && !page.lines().any(is_own), "{page}");
    assert!(page.contains("node_scrape_collector_success{") && page.contains("\nnode_exporter_build_info{goarch=\""));
}

#[test]
fn once_prints_one_page() {
    let once = crate::program::command().args(["once", "--group", "node"]).output().unwrap();
    assert!(once.status.success());
    assert!(parse(&once.stdout, Dialect::Prometheus).unwrap().families.len() > 20);
}

#[test]
fn what_cannot_be_is_told_in_one_line() {
    let told = |arguments: &[&str]| {
        let done = crate::program::command().args(arguments).output().unwrap();
        assert!(!done.status.success());
        String::from_utf8(done.stderr).unwrap()
    };
    for (arguments, word) in [
        (&["--web.listen-address=nowhere"][..], "--web.listen-address"),
        (&["--collector.filesystem.mount-points-exclude=("], "mount-points-exclude"),
        (&["--collector.nothing"], "nothing"),
        (&["--config.file=/nonexistent.yaml"], "/nonexistent.yaml"),
        (&["--path.calls=/nonexistent"], "/nonexistent"),
    ] {
        let line = told(arguments);
        assert!(line.contains(word) && line.trim_end().lines().count() == 1, "{line}");
    }
    let taken = Daemon::start(&[]);
    let line = told(&[&format!("--web.listen-address={}", taken.address())]);
    assert!(line.contains("address already in use") && line.trim_end().lines().count() == 1, "{line}");
}
