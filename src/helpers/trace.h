/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM wireguard

#if !defined(_WIREGUARD_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _WIREGUARD_TRACE_H

#include <linux/tracepoint.h>

/* Something that happens to a peer. */
DECLARE_EVENT_CLASS(wg_peer,
	TP_PROTO(const u8 *dev, u64 peer, const u8 *key, const u8 *endpoint, u64 value),
	TP_ARGS(dev, peer, key, endpoint, value),
	TP_STRUCT__entry(
		__array(char, dev, 16)
		__field(u64, peer)
		__array(u8, key, 32)
		__array(u8, endpoint, 28)
		__field(u64, value)
	),
	TP_fast_assign(
		memcpy(__entry->dev, dev, 16);
		__entry->peer = peer;
		memcpy(__entry->key, key, 32);
		memcpy(__entry->endpoint, endpoint, 28);
		__entry->value = value;
	),
	TP_printk("dev=%s peer=%llu endpoint=%pISpc value=%llu",
		  __entry->dev, __entry->peer, __entry->endpoint, __entry->value)
);

/*
 * A handshake message from or to an address, whoever that is. The order of the arguments is no other class's, so
 * that Rust cannot take one for the other.
 */
DECLARE_EVENT_CLASS(wg_message,
	TP_PROTO(const u8 *dev, u64 value, const u8 *endpoint),
	TP_ARGS(dev, value, endpoint),
	TP_STRUCT__entry(
		__array(char, dev, 16)
		__array(u8, endpoint, 28)
		__field(u64, value)
	),
	TP_fast_assign(
		memcpy(__entry->dev, dev, 16);
		memcpy(__entry->endpoint, endpoint, 28);
		__entry->value = value;
	),
	TP_printk("dev=%s endpoint=%pISpc value=%llu",
		  __entry->dev, __entry->endpoint, __entry->value)
);

/* Packets, or handshake messages, that are dropped. */
DECLARE_EVENT_CLASS(wg_packets,
	TP_PROTO(const u8 *dev, const u8 *reason, u64 packets),
	TP_ARGS(dev, reason, packets),
	TP_STRUCT__entry(
		__array(char, dev, 16)
		__array(char, reason, 32)
		__field(u64, packets)
	),
	TP_fast_assign(
		memcpy(__entry->dev, dev, 16);
		memcpy(__entry->reason, reason, 32);
		__entry->packets = packets;
	),
	TP_printk("dev=%s reason=%s packets=%llu", __entry->dev, __entry->reason, __entry->packets)
);

#define WG_PEER_EVENT(name)									\
	DEFINE_EVENT(wg_peer, name,								\
		TP_PROTO(const u8 *dev, u64 peer, const u8 *key, const u8 *endpoint, u64 value),	\
		TP_ARGS(dev, peer, key, endpoint, value))
#define WG_MESSAGE_EVENT(name)									\
	DEFINE_EVENT(wg_message, name,								\
		TP_PROTO(const u8 *dev, u64 value, const u8 *endpoint), TP_ARGS(dev, value, endpoint))
#define WG_PACKETS_EVENT(name)									\
	DEFINE_EVENT(wg_packets, name,								\
		TP_PROTO(const u8 *dev, const u8 *reason, u64 packets), TP_ARGS(dev, reason, packets))

WG_PEER_EVENT(wg_handshake_sent);
WG_PEER_EVENT(wg_handshake_accepted);
WG_PEER_EVENT(wg_handshake_completed);
WG_PEER_EVENT(wg_handshake_retried);
WG_PEER_EVENT(wg_handshake_gave_up);
WG_PEER_EVENT(wg_session_expired);
WG_PEER_EVENT(wg_keypair_created);
WG_PEER_EVENT(wg_keypair_destroyed);
WG_PEER_EVENT(wg_endpoint_changed);
WG_MESSAGE_EVENT(wg_handshake_received);
WG_MESSAGE_EVENT(wg_cookie_sent);
WG_PACKETS_EVENT(wg_handshake_refused);
WG_PACKETS_EVENT(wg_drop);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
