//! The page at `/`: what this is and where the pages are.

use super::Settings;
use std::fmt::Write;

/// The landing page, made once.
pub(super) fn page(settings: &Settings) -> String {
    let base = settings.base();
    let name = escape(&settings.name);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{name}</title>\n\
         <style>body {{ font-family: sans-serif; margin: 2em }} td {{ padding-right: 2em }}</style>\n</head>\n<body>\n\
         <h1>{name}</h1>\n<p>Everything this machine says about itself. Version {}.</p>\n<table>\n",
        escape(&settings.version)
    );
    row(&mut page, &base, "everything");
    for group in &settings.groups {
        row(&mut page, &format!("{base}/{}", group.name), group.about);
    }
    row(&mut page, "/-/healthy", "whether the process runs");
    row(&mut page, "/-/ready", "whether it can serve a page");
    page.push_str("</table>\n</body>\n</html>\n");
    page
}

fn row(page: &mut String, path: &str, about: &str) {
    let path = escape(path);
    // Writing to a String does not fail.
    let _ = writeln!(page, "<tr><td><a href=\"{path}\">{path}</a></td><td>{}</td></tr>", escape(about));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::GroupPage;

    #[test]
    fn it_links_every_page_and_nothing_else() {
        let groups = vec![GroupPage { name: "gpu", aliases: &[], about: "graphics & <others>" }];
        let page = page(&Settings { telemetry_path: "/m".into(), groups, ..Settings::default() });
        let links: Vec<&str> = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(links, ["/m", "/m/gpu", "/-/healthy", "/-/ready"]);
        assert!(page.contains("<td>graphics &amp; &lt;others&gt;</td>"), "{page}");
        assert!(page.contains(env!("CARGO_PKG_VERSION")) && !page.contains("http"), "{page}");
    }
}
