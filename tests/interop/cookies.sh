# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# This driver and the in-tree one, one of which is flooded with initiations of strangers and asks for cookies: the
# other one takes its cookie and has a session while the flood goes on. First the in-tree driver is flooded, then this
# one. The flood comes from the other guest, between addresses that are not those of the peers. It is real time: beside
# another pair, on two CPUs, the session with this driver once did not come within half a minute.

# A tunnel, and the addresses of the flood.
prepare() {
	setup 4
	endpoint 4
	ip addr add "10.1.1.$ME/24" dev eth0
	# The functions of lib.sh want a name.
	ip netns attach here $$
}

# Counts what the other side has to say to strangers and to this side, and the initiations that have a cookie: its last
# 16 octets are not zero then. The other side may not begin.
watch_begun() {
	nft -f - <<-EOT
		table inet watch {
			counter strangers { }
			counter cookies { }
			counter proven { }
			chain in {
				type filter hook input priority 0
				ip saddr 10.1.1.$PEER udp sport 51820 udp length 72 @th,64,8 3 counter name strangers
				ip saddr 10.1.0.$PEER udp sport 51820 udp length 72 @th,64,8 3 counter name cookies
				ip saddr 10.1.0.$PEER udp sport 51820 udp length 156 @th,64,8 1 drop
			}
			chain out {
				type filter hook output priority 0
				ip daddr 10.1.0.$PEER udp dport 51820 udp length 156 @th,64,8 1 @th,1120,32 != 0 counter name proven
			}
		}
	EOT
}

# Counts the cookies that this side hands out, to whomever.
watch_given() {
	nft -f - <<-EOT
		table inet watch {
			counter given { }
			chain out {
				type filter hook output priority 0
				udp sport 51820 udp length 72 @th,64,8 3 counter name given
			}
		}
	EOT
}

# usage: more NAME THAN
more() {
	[ "$(counted here "$1")" -gt "$2" ]
}

# Begins anew, unless a cookie has come: an initiation that comes while the flood pauses may find no load.
asked_for_cookie() {
	more cookies 0 && return
	forget
	ping -c 1 -W 2 "10.99.0.$PEER"
	more cookies 0
}

# Floods the other side, and has a session with it; five checks. usage: begin_under_load WHO-IS-FLOODED
begin_under_load() {
	local flood
	watch_begun
	python3 tests/peers/flood.py "$(wg pubkey <<<"$PEER_KEY")" "10.1.1.$PEER" 51820 1000 100 &
	flood=$!
	check "$1 is flooded: strangers are asked for cookies" wait_for 15 more strangers 0
	check "and so is the peer" wait_for 1 asked_for_cookie
	# Attempts are five seconds apart; for some there may be no room.
	check "which begins again with its cookie" wait_for 10 more proven 0
	check "and has a session" ping -c 1 -W 30 "10.99.0.$PEER"
	check "while the flood goes on" wait_for 5 more strangers "$(counted here strangers)"
	kill $flood
	wait $flood 2>/dev/null
	nft delete table inet watch
}

# There are at least that of the peer and those of strangers.
each_was_counted() {
	more given 1 && is "$(device_counter here tx_handshake_cookies)" "$(counted here given)"
}

# The side of this driver.
side_a() {
	plan 8
	prepare
	barrier up
	check "there is a session" ping -c 1 -W 10 10.99.0.2
	begin_under_load "the in-tree driver"
	check "the cookie has been counted" test "$(device_counter here rx_handshake_cookies)" -ge 1

	watch_given
	barrier turned
	barrier over
	# Some initiations of the flood may still wait for an answer.
	check "this driver has counted the cookies that it handed out" wait_for 20 each_was_counted
	barrier done
	finish
}

# The side of the in-tree driver.
side_b() {
	plan 5
	prepare
	barrier up
	barrier turned
	begin_under_load "this driver"
	barrier over
	barrier done
	finish
}
