// SPDX-License-Identifier: GPL-2.0
/*
 * Two threads that write to the same variable without telling the compiler: what KCSAN is there to find.
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>

static unsigned long raced;
static struct task_struct *threads[2];

static int racing_thread(void *unused)
{
	int i;

	while (!kthread_should_stop()) {
		for (i = 0; i < 10000; i++) {
			raced++;
			barrier();
		}
		usleep_range(100, 200);
	}
	return 0;
}

static void stop(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		if (threads[i])
			kthread_stop(threads[i]);
	}
}

static int __init race_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		struct task_struct *thread = kthread_run(racing_thread, NULL, "race/%d", i);

		if (IS_ERR(thread)) {
			stop();
			return PTR_ERR(thread);
		}
		threads[i] = thread;
	}
	return 0;
}
module_init(race_init);

static void __exit race_exit(void)
{
	stop();
}
module_exit(race_exit);

MODULE_DESCRIPTION("Has a data race");
MODULE_LICENSE("GPL");
