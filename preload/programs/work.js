// Maps, buffers, JSON, compression and worker threads: prints a checksum of each.
'use strict';
const { createHash } = require('crypto');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const zlib = require('zlib');

function* numbers(seed, count) {
    for (let i = 0; i < count; i++) {
        seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
        yield seed >>> 8;
    }
}

const sum = (data) => createHash('sha256').update(data).digest('hex').slice(0, 16);

function buffers(seed, count) {
    const kept = new Array(64).fill(Buffer.alloc(0));
    const hash = createHash('sha256');
    for (const n of numbers(seed, count)) {
        const buffer = Buffer.allocUnsafeSlow(1 + (n % (n % 50 ? 3000 : 100000))).fill(n & 255);
        buffer.writeUInt8(n % 251, buffer.length - 1);
        const place = n % kept.length;
        hash.update(kept[place].subarray(0, 64));
        kept[place] = buffer;
    }
    return hash.digest('hex').slice(0, 16);
}

function maps(seed, count) {
    const map = new Map();
    for (const n of numbers(seed, count)) {
        const key = `key-${n % 9973}`;
        map.set(key, [...(map.get(key) ?? []).slice(-5), { n, text: 'x'.repeat(n % 30) }]);
    }
    const text = JSON.stringify([...map].sort());
    return [sum(text), JSON.parse(text).length, text];
}

if (!isMainThread) {
    const { seed, size } = workerData;
    const [checked, , text] = maps(seed, size);
    const packed = zlib.deflateSync(text);
    const plain = zlib.inflateSync(packed).toString() === text;
    parentPort.postMessage({ seed, checked, plain, buffers: buffers(seed, size), packed });
} else {
    const size = Number(process.argv[2]);
    console.log('buffers', buffers(1, size * 4));
    const [checked, entries, text] = maps(2, size * 2);
    console.log('maps', checked, entries);
    for (const level of [1, 6]) {
        console.log('gzip', level, zlib.gunzipSync(zlib.gzipSync(text, { level })).toString() === text);
    }
    const started = [3, 4, 5, 6].map((seed) => new Promise((resolve, reject) => {
        const worker = new Worker(__filename, { workerData: { seed, size } });
        worker.on('message', resolve).on('error', reject);
    }));
    Promise.all(started).then((done) => {
        for (const { seed, checked, plain, buffers, packed } of done) {
            console.log('worker', seed, checked, plain, buffers, packed.length);
        }
    });
}
