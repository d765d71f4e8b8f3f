// SPDX-License-Identifier: GPL-2.0

#include <linux/slab.h>

void *net_helper_kvmalloc_array(size_t n, size_t size)
{
	/* User space says how many; more than INT_MAX octets are its error and no reason to warn. */
	return kvmalloc_array(n, size, GFP_KERNEL | __GFP_NOWARN);
}

void *net_helper_kmalloc_kernel(size_t size)
{
	return kmalloc(size, GFP_KERNEL);
}
