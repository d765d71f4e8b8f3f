// SPDX-License-Identifier: GPL-2.0

#include <crypto/blake2s.h>
#include <crypto/curve25519.h>
#include <crypto/utils.h>
#include <linux/random.h>
#include <linux/siphash.h>
#include <linux/string.h>

void net_helper_blake2s_init_key(struct blake2s_ctx *ctx, size_t outlen,
				 const void *key, size_t keylen)
{
	__blake2s_init(ctx, outlen, key, keylen);
}

unsigned long net_helper_crypto_memneq(const void *a, const void *b, size_t size)
{
	return crypto_memneq(a, b, size);
}

void net_helper_memzero_explicit(void *s, size_t count)
{
	memzero_explicit(s, count);
}

u64 net_helper_siphash(const void *data, size_t len, const siphash_key_t *key)
{
	return siphash(data, len, key);
}
