//! The fuzz target `variant_file`. A stable build replays the files that its arguments name.
#![cfg_attr(fuzzing, no_main)]

hakmem_fuzz::target!(variant_file);
