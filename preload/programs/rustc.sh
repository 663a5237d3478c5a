{
    echo '{'
    seq -f 'total += work::<%g>(seed);' "$1"
    echo '}'
} >calls.rs
rustc --edition 2021 --crate-type rlib --crate-name work -C opt-level=2 -C codegen-units=4 work.rs
cksum <libwork.rlib
