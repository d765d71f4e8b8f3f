// SPDX-License-Identifier: GPL-2.0

#include <linux/capability.h>

#include <net/net_namespace.h>

int net_helper_check_net(const struct net *net)
{
	return check_net(net);
}

bool net_helper_net_capable(const struct net *net, int cap)
{
	return ns_capable(net->user_ns, cap);
}
