# Two packages, one of which the other uses.
export CARGO_HOME="$PWD/home" RUSTC=/usr/bin/rustc
mkdir -p library/src program/src
printf '[workspace]\nmembers = ["library", "program"]\n' >Cargo.toml
printf '[package]\nname = "library"\nversion = "0.1.0"\nedition = "2021"\n' >library/Cargo.toml
printf '[package]\nname = "program"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\nlibrary = { path = "../library" }\n' \
    >program/Cargo.toml
mv work.rs library/src/lib.rs
{
    echo '{'
    seq -f 'total += work::<%g>(seed);' "$1"
    echo '}'
} >library/src/calls.rs
echo 'fn main() { println!("{}", library::all(50)) }' >program/src/main.rs
cargo build --offline --quiet --jobs 2
./target/debug/program
