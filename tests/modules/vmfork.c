// SPDX-License-Identifier: GPL-2.0
/*
 * Tells the kernel that this machine is a copy of another, as the driver of a hypervisor's
 * generation counter does. QEMU changes its counter only when a machine is restored.
 */
#include <linux/module.h>
#include <linux/random.h>

static int __init vmfork_init(void)
{
	u8 id[16];

	get_random_bytes(id, sizeof(id));
	add_vmfork_randomness(id, sizeof(id));
	return 0;
}
module_init(vmfork_init);

static void __exit vmfork_exit(void)
{
}
module_exit(vmfork_exit);

MODULE_DESCRIPTION("Pretends that the virtual machine was forked");
MODULE_LICENSE("GPL");
