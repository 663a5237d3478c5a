// Maps, threads, compression and direct buffers: prints a checksum of each. The last two take their memory from malloc.
import java.nio.ByteBuffer;
import java.util.*;
import java.util.concurrent.*;
import java.util.zip.*;

public class Work {
    static long next(long seed) {
        return (seed * 1103515245L + 12345L) & 0x7fffffffL;
    }

    static long maps(long seed, int count) {
        Map<String, List<Integer>> map = new HashMap<>();
        for (int i = 0; i < count; i++) {
            seed = next(seed);
            int n = (int) (seed >> 8);
            map.computeIfAbsent("key-" + n % 4999, key -> new ArrayList<>()).add(n);
        }
        CRC32 crc = new CRC32();
        new TreeMap<>(map).forEach((key, list) -> crc.update((key + list).getBytes()));
        return crc.getValue();
    }

    static long packed(long seed, int count) throws Exception {
        CRC32 crc = new CRC32();
        for (int i = 0; i < count; i++) {
            byte[] plain = new byte[2000 + (int) (seed % 3000)];
            for (int at = 0; at < plain.length; at++) {
                seed = next(seed);
                plain[at] = (byte) (seed >> 28);
            }
            Deflater deflater = new Deflater(1 + i % 9);
            deflater.setInput(plain);
            deflater.finish();
            byte[] small = new byte[plain.length + 100];
            int length = deflater.deflate(small);
            deflater.end();
            Inflater inflater = new Inflater();
            inflater.setInput(small, 0, length);
            byte[] again = new byte[plain.length];
            inflater.inflate(again);
            inflater.end();
            crc.update(again);
        }
        return crc.getValue();
    }

    static long direct(long seed, int count) {
        ByteBuffer[] kept = new ByteBuffer[64];
        long sum = 0;
        for (int i = 0; i < count; i++) {
            seed = next(seed);
            int n = (int) (seed >> 8);
            ByteBuffer buffer = ByteBuffer.allocateDirect(16 + n % 60000);
            buffer.putInt(8, n);
            int place = n % kept.length;
            sum += kept[place] == null ? 1 : kept[place].getInt(8);
            kept[place] = buffer;
        }
        return sum;
    }

    public static void main(String[] args) throws Exception {
        int size = Integer.parseInt(args[0]);
        System.out.println("maps " + maps(1, size * 20));
        System.out.println("packed " + packed(2, size));
        System.out.println("direct " + direct(3, size));
        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Callable<Long>> parts = new ArrayList<>();
        for (int part = 0; part < 8; part++) {
            int seed = 10 + part;
            parts.add(() -> maps(seed, size * 4) ^ packed(seed, size / 8) ^ direct(seed, size / 8));
        }
        for (Future<Long> part : pool.invokeAll(parts)) {
            System.out.println("thread " + part.get());
        }
        pool.shutdown();
    }
}
