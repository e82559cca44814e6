/* Kafka's default partitioner: 32-bit MurmurHash2 (Austin Appleby, public domain) with the seed
 * and the sign bit dropped as in org.apache.kafka.common.utils.Utils.murmur2 and
 * BuiltInPartitioner.partitionForKey. */
#include "kafka/client.h"

#define MULTIPLIER UINT32_C(0x5bd1e995)
#define SEED       UINT32_C(0x9747b28c)

static uint32_t mix(uint32_t k)
{
    k *= MULTIPLIER;
    k ^= k >> 24;
    return k * MULTIPLIER;
}

uint32_t kafka_murmur2(struct slice key)
{
    const unsigned char *p = (const unsigned char *)key.p;
    size_t left = key.n;
    uint32_t h = SEED ^ (uint32_t)key.n;

    for (; left >= 4; left -= 4, p += 4) {
        uint32_t word =
            (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        h = h * MULTIPLIER ^ mix(word);
    }
    if (left > 0) {
        uint32_t tail = 0;
        for (size_t i = left; i > 0; i--)
            tail = tail << 8 | p[i - 1];
        h = (h ^ tail) * MULTIPLIER;
    }
    h ^= h >> 13;
    h *= MULTIPLIER;
    return h ^ h >> 15;
}

int32_t kafka_partition_of(struct slice key, int32_t partitions)
{
    ASSERT(partitions > 0);
    return (int32_t)((kafka_murmur2(key) & UINT32_C(0x7fffffff)) % (uint32_t)partitions);
}
