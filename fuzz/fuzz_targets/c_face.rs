//! The fuzz target `c_face`. A stable build replays the files that its arguments name.
#![cfg_attr(fuzzing, no_main)]

hakmem_fuzz::target!(c_face);
