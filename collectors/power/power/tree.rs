//! Which sources together are the whole machine, so that nothing is counted twice.
//!
//! Each source has a role; those of one role lie beside each other, and what lies within another has none that is ever
//! summed. The whole is made of the roles of one row of [`WHOLES`], the widest one that can be trusted.

/// What a source measures, as far as sums are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// What a power supply draws from the wall.
    PsuInput,
    /// The whole machine, by its firmware.
    Meter,
    /// A processor's module with all that is on it.
    Module,
    /// What a board draws from its supply.
    BoardInput,
    /// What is drawn from a battery.
    Battery,
    /// The platform as its maker wired it.
    Platform,
    /// A processor's package, with its cores and what else is in it.
    Package,
    /// The memory of a package.
    Memory,
    /// A card of its own.
    Device,
    /// A part of something else, or nobody knows of what.
    Within,
}

/// A way to measure the whole machine.
#[derive(Debug)]
pub(super) struct Whole {
    /// The label `source`.
    pub(super) source: &'static str,
    /// The label `scope`.
    pub(super) scope: &'static str,
    /// What is summed.
    pub(super) roles: &'static [Role],
}

/// From the widest to the narrowest.
pub(super) const WHOLES: [Whole; 7] = [
    Whole { source: "psu", scope: "wall", roles: &[Role::PsuInput] },
    Whole { source: "meter", scope: "wall", roles: &[Role::Meter] },
    Whole { source: "module", scope: "board_in", roles: &[Role::Module] },
    Whole { source: "rail", scope: "board_in", roles: &[Role::BoardInput] },
    Whole { source: "battery", scope: "board_in", roles: &[Role::Battery] },
    Whole { source: "psys", scope: "platform", roles: &[Role::Platform] },
    Whole { source: "components", scope: "components", roles: &[Role::Package, Role::Memory, Role::Device] },
];
/// Their names, for the option.
pub(super) const SOURCES: &[&str] = &["auto", "psu", "meter", "module", "rail", "battery", "psys", "components"];

/// Which of them it is: the one that is wished for, else the first one that there is; the platform only if it can be trusted.
pub(super) fn choose(wish: Option<&str>, is_there: impl Fn(Role) -> bool, platform_fits: bool) -> Option<usize> {
    let has = |whole: &Whole| whole.roles.iter().any(|role| is_there(*role));
    match wish {
        Some(wish) => WHOLES.iter().position(|whole| whole.source == wish && has(whole)),
        None => WHOLES.iter().position(|whole| has(whole) && (whole.roles != [Role::Platform] || platform_fits)),
    }
}

/// Whether what is said to be the platform can be: some firmware counts less for it than for the packages that are in it.
#[derive(Debug, Default)]
pub(super) struct Platform {
    platform: u64,
    parts: u64,
}

impl Platform {
    /// Before this many microjoules nothing is said: some platforms count in whole joules.
    const ENOUGH: u64 = 100_000_000;

    /// What both counted in the same interval.
    pub(super) fn add(&mut self, platform: u64, parts: u64) {
        self.platform = self.platform.saturating_add(platform);
        self.parts = self.parts.saturating_add(parts);
    }

    pub(super) fn fits(&self) -> bool {
        self.parts >= Self::ENOUGH && u128::from(self.platform) * 100 >= u128::from(self.parts) * 98
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(wish: Option<&str>, there: &[Role], fits: bool) -> Option<&'static str> {
        choose(wish, |role| there.contains(&role), fits).map(|at| WHOLES[at].source)
    }

    #[test]
    fn the_widest_that_there_is() {
        use Role::*;
        let all = [Within, Device, Memory, Package, Platform, Battery, BoardInput, Module, Meter, PsuInput];
        let expected = [None, Some("components"), Some("components"), Some("components"), Some("psys")];
        let wider = ["battery", "rail", "module", "meter", "psu"].map(Some);
        for (count, expected) in expected.into_iter().chain(wider).enumerate() {
            assert_eq!(chosen(None, &all[..=count], true), expected, "{count}");
        }
        assert_eq!(chosen(None, &[Package, Platform], false), Some("components"));
        assert_eq!(chosen(None, &[Platform], false), None);
        assert_eq!(chosen(Some("psys"), &all, false), Some("psys"), "who wishes for it, trusts it");
        assert_eq!(chosen(Some("psu"), &[Package], true), None, "another one is no substitute");
    }

    #[test]
    fn no_whole_is_part_of_another_sum() {
        for whole in &WHOLES {
            assert!(!whole.roles.contains(&Role::Within), "{whole:?}");
            let is_alone = whole.roles.len() == 1;
            assert!(is_alone || whole.source == "components", "{whole:?}");
            assert!(SOURCES.contains(&whole.source));
        }
    }

    #[test]
    fn a_platform_below_its_parts_is_none() {
        let of = |platform, parts| {
            let mut check = Platform::default();
            check.add(platform, parts);
            check.fits()
        };
        assert!(of(98_000_000, 100_000_000) && of(180_000_000, 100_000_000));
        assert!(!of(97_000_000, 100_000_000) && !of(9, 9));
    }
}
