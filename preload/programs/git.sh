export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C \
    GIT_COMMITTER_EMAIL=c@example.org
git init -q repository
cd repository
git config gc.auto 0
# The disk is not what is measured.
git config core.fsync none
git config maintenance.auto false
for turn in 1 2 3 4 5 6; do
    # New files: a file system may wait for the disk when one is cut to nothing and written again.
    rm -f part*
    awk -v files="$1" -v turn=$turn 'BEGIN {
        for (file = 1; file <= files; file++) {
            name = "part" file % 7 "-" file ".txt"
            for (line = 1; line <= 60 + file % 50; line++) {
                changed = (line * file) % 11 == turn ? turn : 0
                print "line " line " of file " file ", " line * file % 1009 ", changed " changed > name
            }
            close(name)
        }
    }'
    git add -A
    export GIT_AUTHOR_DATE="2020-01-0${turn}T00:00:00Z" GIT_COMMITTER_DATE="2020-01-0${turn}T00:00:00Z"
    git commit -q -m "Turn $turn"
done
git gc --quiet --aggressive
git fsck --full >&2
git log --stat -p >log
cksum <log
git blame -s part1-1.txt >blame
cksum <blame
git rev-parse HEAD
