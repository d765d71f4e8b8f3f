// SPDX-License-Identifier: GPL-2.0

#include <net/net_namespace.h>

int net_helper_check_net(const struct net *net)
{
	return check_net(net);
}
