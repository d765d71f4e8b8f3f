// SPDX-License-Identifier: GPL-2.0

#include <linux/inetdevice.h>
#include <linux/netdevice.h>
#include <net/addrconf.h>
#include <net/ip_tunnels.h>
#include <net/rtnetlink.h>

void *net_helper_netdev_priv(struct net_device *dev)
{
	return netdev_priv(dev);
}

struct net *net_helper_dev_net(const struct net_device *dev)
{
	return dev_net(dev);
}

void net_helper_dev_sw_netstats_tx_add(struct net_device *dev, unsigned int packets,
				       unsigned int len)
{
	dev_sw_netstats_tx_add(dev, packets, len);
}

u64 net_helper_dev_sw_netstats_tx_here(const struct net_device *dev)
{
	return u64_stats_read(&this_cpu_ptr(dev->tstats)->tx_packets);
}

void net_helper_dev_sw_netstats_rx_add(struct net_device *dev, unsigned int len)
{
	dev_sw_netstats_rx_add(dev, len);
}

struct in_device *net_helper_in_dev_get_rtnl(const struct net_device *dev)
{
	return __in_dev_get_rtnl(dev);
}

void net_helper_in_dev_conf_set_send_redirects(struct in_device *in_dev, int val)
{
	IN_DEV_CONF_SET(in_dev, SEND_REDIRECTS, val);
}

void net_helper_ipv4_devconf_all_set_send_redirects(struct net *net, int val)
{
	IPV4_DEVCONF_ALL(net, SEND_REDIRECTS) = val;
}

struct inet6_dev *net_helper_in6_dev_get(const struct net_device *dev)
{
	return __in6_dev_get(dev);
}

void net_helper_inet6_dev_set_addr_gen_mode(struct inet6_dev *idev, int mode)
{
	idev->cnf.addr_gen_mode = mode;
}

struct net *net_helper_rtnl_newlink_link_net(struct rtnl_newlink_params *p)
{
	return rtnl_newlink_link_net(p);
}

int net_helper_dev_recursion_level(void)
{
	return dev_recursion_level();
}

bool net_helper_netdev_has_gso(const struct net_device *dev)
{
	return READ_ONCE(dev->features) & NETIF_F_GSO;
}

void net_helper_netdev_set_lltx(struct net_device *dev)
{
	dev->lltx = true;
}

void net_helper_netif_keep_dst(struct net_device *dev)
{
	netif_keep_dst(dev);
}

netdev_features_t net_helper_tunnel_features(void)
{
	return NETIF_F_HW_CSUM | NETIF_F_RXCSUM | NETIF_F_SG | NETIF_F_GSO |
	       NETIF_F_GSO_SOFTWARE | NETIF_F_HIGHDMA;
}

void net_helper_netdev_set_noqueue(struct net_device *dev)
{
	dev->priv_flags |= IFF_NO_QUEUE;
}

void net_helper_netdev_set_pcpu_tstats(struct net_device *dev)
{
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_TSTATS;
}
