use super::*;
use collectors::Group;
use collectors::kit::{Child, Clock, Root, Roots};
use std::path::Path;

struct Moody;

impl Collector for Moody {
    fn collect(&mut self, host: &mut Host, _: &mut Batch) -> Result<(), Error> {
        match host.text(Root::Proc, "mood")?.as_str() {
            "well" => Ok(()),
            _ => Err(Error::Stuck { path: "it".to_owned() }),
        }
    }
}

static SPEC: Spec = Spec::new(Group::Node, "moody", "", &[], |_, _| Ok(Some(Box::new(Moody))));

fn round(slot: &mut Slot, folder: &Path, mood: &str) -> Vec<Told> {
    std::fs::write(folder.join("mood"), mood).unwrap();
    let ended = slot.start(Duration::ZERO).unwrap().run();
    slot.end(ended, Duration::ZERO)
}

#[test]
fn one_that_gives_up_waiting_is_told_of_once_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let roots = Roots { proc: folder.path().to_str().unwrap().to_owned(), ..Roots::default() };
    let mut slot = Slot::new(&SPEC, &Machine::new(roots, Clock::Real, None, Child::none()));
    slot.configure(Some(&Options::default()));
    let mut round = |mood: &str, is_left: bool| {
        let is_news = is_left && slot.found_stuck();
        (is_news, round(&mut slot, folder.path(), mood))
    };
    let failed = || vec![Told::Failed("it: no answer in time".to_owned())];
    assert_eq!(round("well", false), (false, vec![]));
    for _ in 0..2 {
        assert_eq!(round("gives up", true), (true, failed()));
        assert_eq!(round("gives up", true), (false, vec![]));
        assert_eq!(round("well", false), (false, vec![Told::Recovered]));
    }
    assert_eq!(round("well", true), (true, vec![Told::Recovered]));
    assert_eq!(round("well", false), (false, vec![]));
}
