# Small blocks, and large ones; what it writes has times in it.
stress() {
    stress-ng --no-rand-seed --verify --oomable --temp-path . --timeout 250 "$@" >&2
}
stress --malloc 2 --malloc-bytes 4K --malloc-max 20000 --malloc-ops $(($1 * 100))
stress --malloc 2 --malloc-bytes 8M --malloc-max 500 --malloc-ops $(($1 * 2))
