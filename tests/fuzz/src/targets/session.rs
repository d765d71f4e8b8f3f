// SPDX-License-Identifier: GPL-2.0

//! Messages of transport data, true and made up, and the limits of a session.

use crate::prelude::*;

pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let (Ok(counter), Ok(age)) = (input.arbitrary::<u64>(), input.arbitrary::<u64>()) else {
        return;
    };
    let born = Instant::from_nanos(1 << 40);
    let (a, b) = sessions(born);
    let now = Instant::from_nanos((1 << 40) + (age >> 1));
    let old = age >> 1 >= REJECT_AFTER_TIME.as_nanos();
    assert_eq!(a.usable_for_receiving(now), !old);
    let may_send = !old && counter < REJECT_AFTER_MESSAGES;
    assert_eq!(a.usable_for_sending(counter, now), may_send);
    if !may_send && !old {
        assert!(a.rekey_due_after_sending(counter, now), "no renewal");
    }
    let text = input.take_rest();
    let mut buf = [text, &[0xff; 16]].concat();
    assert!(a.seal_in_place(counter, &mut buf));
    let message = [&a.header(counter)[..], &buf].concat();
    let Some(Message::Data { header, body }) = Message::parse(&message) else {
        panic!("not recognised");
    };
    assert_eq!(
        (header.receiver, header.counter),
        (b.local_index(), counter)
    );
    let mut body = body.to_vec();
    assert!(b.open_in_place(counter, &mut body));
    assert_eq!(&body[..text.len()], text);
    let _ = b.open_in_place(counter, &mut text.to_vec());
}
