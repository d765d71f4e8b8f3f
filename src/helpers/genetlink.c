// SPDX-License-Identifier: GPL-2.0

#include <linux/netdevice.h>
#include <net/genetlink.h>

struct net *net_helper_genl_info_net(const struct genl_info *info)
{
	return genl_info_net(info);
}

const struct genl_info *net_helper_genl_info_dump(struct netlink_callback *cb)
{
	return genl_info_dump(cb);
}

void *net_helper_genl_dump_put(struct sk_buff *skb, struct netlink_callback *cb,
			       const struct genl_family *family, u8 cmd)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, family,
			   NLM_F_MULTI, cmd);
}

void net_helper_genl_dump_check_consistent(struct netlink_callback *cb, void *user_hdr)
{
	genl_dump_check_consistent(cb, user_hdr);
}

void net_helper_genlmsg_end(struct sk_buff *skb, void *hdr)
{
	genlmsg_end(skb, hdr);
}

void net_helper_genlmsg_cancel(struct sk_buff *skb, void *hdr)
{
	genlmsg_cancel(skb, hdr);
}

int net_helper_genlmsg_reply(struct sk_buff *skb, struct genl_info *info)
{
	return genlmsg_reply(skb, info);
}

struct sock *net_helper_genl_sock(const struct net_device *dev)
{
	return dev_net(dev)->genl_sock;
}
