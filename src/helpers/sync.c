// SPDX-License-Identifier: GPL-2.0

#include <linux/bottom_half.h>
#include <linux/cpumask.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>
#include <linux/smp.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

void net_helper_local_bh_disable(void)
{
	local_bh_disable();
}

void net_helper_local_bh_enable(void)
{
	local_bh_enable();
}

u64 net_helper_ktime_get_coarse_boottime_ns(void)
{
	return ktime_get_coarse_boottime_ns();
}

unsigned int net_helper_raw_smp_processor_id(void)
{
	return raw_smp_processor_id();
}

unsigned int net_helper_next_online_cpu(int cpu)
{
	return cpumask_next_wrap(cpu, cpu_online_mask);
}

unsigned int net_helper_num_online_cpus(void)
{
	return num_online_cpus();
}

unsigned int net_helper_nr_cpu_ids(void)
{
	return nr_cpu_ids;
}

void net_helper_init_delayed_work(struct delayed_work *work, work_func_t func)
{
	INIT_DELAYED_WORK(work, func);
}

void net_helper_init_work(struct work_struct *work, work_func_t func)
{
	INIT_WORK(work, func);
}

void net_helper_cond_resched(void)
{
	cond_resched();
}
