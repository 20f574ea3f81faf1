//! The scripts: one verb each, in `lua/`, with what they share before them.

use redis::Script;

pub(super) struct Scripts {
    pub(super) create: Script,
    pub(super) apply: Script,
    pub(super) end: Script,
    pub(super) enlist: Script,
    pub(super) choose: Script,
    pub(super) relist: Script,
    pub(super) restore: Script,
}

impl Scripts {
    pub(super) fn new() -> Scripts {
        Scripts {
            create: Script::new(concat!(
                include_str!("lua/prelude.lua"),
                include_str!("lua/dates.lua"),
                include_str!("lua/create.lua")
            )),
            apply: Script::new(concat!(
                include_str!("lua/prelude.lua"),
                include_str!("lua/dates.lua"),
                include_str!("lua/apply.lua")
            )),
            end: Script::new(concat!(include_str!("lua/prelude.lua"), include_str!("lua/end.lua"))),
            enlist: Script::new(include_str!("lua/enlist.lua")),
            choose: Script::new(include_str!("lua/choose.lua")),
            relist: Script::new(include_str!("lua/relist.lua")),
            restore: Script::new(concat!(include_str!("lua/prelude.lua"), include_str!("lua/restore.lua"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::record::RESERVED;

    #[test]
    fn the_scripts_know_the_same_reserved_names_as_the_record() {
        let prelude = include_str!("lua/prelude.lua");
        let list = prelude.split_once("RESERVED = {").unwrap().1.split_once('}').unwrap().0;
        let names: Vec<_> = list.split(',').map(|name| name.trim().trim_matches('\'')).collect();
        assert_eq!(names, RESERVED);
        assert!(prelude.contains("PLAIN_RESERVED = 3"));
    }
}
