awk -v lines="$1" 'BEGIN {
    n = 1
    for (line = 0; line < lines; line++) {
        n = (n * 16807) % 2147483647
        printf "%d %s %d\n", n, substr("abcdefghijklmnopqrstuvwxyz", 1 + n % 20), line
    }
}' >lines
sort --parallel=2 -k 2,2 -k 1,1n lines >by-word
cksum <by-word
sort --parallel=2 -rn lines | cut -d ' ' -f 2 | uniq -c >counted
cksum <counted
