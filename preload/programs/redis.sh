# Debian links its redis with jemalloc; the system's malloc is there if it is asked for. Under this name the program
# is the server: its package has no service that would start. It ends when this shell does, however that ends.
ln -s /usr/bin/redis-check-rdb redis-server
LD_PRELOAD=${LD_PRELOAD:-libc.so.6} setpriv --pdeathsig KILL ./redis-server --port 0 --unixsocket socket \
    --save '' --appendonly no --enable-debug-command yes >&2 &
server=$!
# The clients are not what is measured.
unset LD_PRELOAD
until redis-cli -s socket ping >/dev/null 2>&1; do
    kill -0 $server || wait $server
    sleep 0.01
done
redis-benchmark -s socket -n "$1" -r 100000 -d 100 -q -P 16 -t set,get,lpush,lrange_100 >&2
# Its keys are random. These are not.
redis-cli -s socket flushall >&2
seq "$1" | awk '{
    print "set key:" $1 " " $1 * $1
    print "append key:" $1 % 100 " " $1
    print "hset hash:" $1 % 500 " field:" $1 " value:" $1
    print "zadd set:" $1 % 50 " " $1 % 1000 " member:" $1
    print "rpush list:" $1 % 20 " " $1
    print "del key:" int($1 / 3)
}' | redis-cli -s socket --pipe >&2
redis-cli -s socket dbsize
redis-cli -s socket debug digest
redis-cli -s socket shutdown nosave
wait $server
