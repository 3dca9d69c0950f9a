// SPDX-License-Identifier: Apache-2.0
/*
 * The chat page: rooms are channels, a message is a publication {name, text, sent}.
 *
 * The connection, its reconnects and the subscriptions are the SDK's (the global Centrifuge). What
 * others wrote is foreign: it is checked, cut, and only ever becomes text (textContent).
 * Nothing is kept but the name and the list of rooms, in localStorage.
 */
'use strict';

(() => {
  const DEFAULT_ROOMS = ['lobby', 'random', 'help'];
  const ROOM_PATTERN = /^[A-Za-z0-9_.:@-]{1,64}$/;
  const ROOMS_MAX = 100; // the server's client.channel_limit is 128
  const NAME_MAX = 40; // characters
  const TEXT_MAX = 4000; // characters, as the maxlength of the input
  const KEPT_MAX = 500; // messages of a room that stay on the page
  const FOLLOWS_MS = 5 * 60 * 1000; // later than this, a message names its author again
  const TINTS = 8; // colours of chat.css

  const $ = (id) => document.getElementById(id);

  // --- What the page knows -----------------------------------------------------------------------

  const rooms = new Map(); // name -> {name, subscription, messages, unread, problem, button, ...}
  const myClients = new Set(); // ids that the server gave this page: it gets a new one each time
  const sent = new Set(); // keys of messages sent and not yet seen, for servers that name no sender
  let centrifuge = null;
  let current = null; // the room that is shown
  let myName = '';
  let wasConnected = false;

  // --- What is kept between visits. A browser may refuse: then nothing is kept. --------------------

  function recall(key) {
    try {
      return window.localStorage.getItem(key);
    } catch {
      return null;
    }
  }

  function keep(key, value) {
    try {
      window.localStorage.setItem(key, value);
    } catch {
      // A visit without memory is still a visit.
    }
  }

  function recallRooms() {
    try {
      const names = JSON.parse(recall('parley.rooms') ?? '[]');
      return Array.isArray(names) ? names.filter((name) => ROOM_PATTERN.test(name)) : [];
    } catch {
      return [];
    }
  }

  // --- Foreign values ----------------------------------------------------------------------------

  function cleanName(value) {
    return String(value).replace(/\s+/g, ' ').trim().slice(0, NAME_MAX);
  }

  /* A publication as a message, whatever somebody put into it. */
  function readMessage(publication) {
    const data = publication.data;
    const isOurs = typeof data === 'object' && data !== null && typeof data.text === 'string';
    const name = isOurs && typeof data.name === 'string' ? cleanName(data.name) : '';
    const text = isOurs ? data.text : JSON.stringify(data) ?? '';
    const time = isOurs && Number.isFinite(data.sent) ? new Date(data.sent) : new Date();
    const client = publication.info?.client;
    const key = isOurs ? `${data.sent} ${data.text}` : '';
    const isOwn = client ? myClients.has(client) : sent.has(key);
    sent.delete(key);
    return {
      name: name || 'somebody',
      text: text.slice(0, TEXT_MAX),
      time: Number.isNaN(time.getTime()) ? new Date() : time,
      isOwn,
    };
  }

  function tintOf(name) {
    let hash = 0;
    for (const letter of name) {
      hash = (hash * 31 + letter.codePointAt(0)) % 65521;
    }
    return hash % TINTS;
  }

  // --- Messages on the page ----------------------------------------------------------------------

  function element(tag, className, text) {
    const made = document.createElement(tag);
    made.className = className;
    if (text !== undefined) {
      made.textContent = text;
    }
    return made;
  }

  function renderMessage(message, before) {
    const item = element('li', 'message');
    const follows = before !== undefined && before.name === message.name &&
      before.isOwn === message.isOwn &&
      Math.abs(message.time - before.time) < FOLLOWS_MS;
    item.dataset.testid = 'message';
    item.dataset.own = String(message.isOwn);
    item.classList.toggle('own', message.isOwn);
    item.classList.toggle('follows', follows);

    const face = element('span', 'face', [...message.name][0].toUpperCase());
    face.setAttribute('aria-hidden', 'true');
    face.dataset.tint = String(tintOf(message.name));
    const meta = element('div', 'meta');
    const time = element('time', '', message.time.toLocaleTimeString([], {
      hour: '2-digit',
      minute: '2-digit',
    }));
    time.dateTime = message.time.toISOString();
    time.title = message.time.toLocaleString();
    meta.append(element('span', 'author', message.isOwn ? `${message.name} (you)` : message.name),
      time);
    item.append(face, meta, element('p', 'text', message.text));
    return item;
  }

  function isAtEnd() {
    const scroll = $('scroll');
    return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
  }

  function scrollToEnd() {
    $('scroll').scrollTop = $('scroll').scrollHeight;
    $('newest').hidden = true;
  }

  function showMessage(room, message) {
    const list = $('messages');
    const follow = isAtEnd() || message.isOwn;
    list.append(renderMessage(message, room.messages.at(-2)));
    while (list.childElementCount > KEPT_MAX) {
      list.firstElementChild.remove();
    }
    $('empty').hidden = true;
    if (follow) {
      scrollToEnd();
    } else {
      $('newest').hidden = false;
    }
  }

  function takePublication(room, publication) {
    const message = readMessage(publication);
    room.messages.push(message);
    if (room.messages.length > KEPT_MAX) {
      room.messages.shift();
    }
    if (room === current) {
      showMessage(room, message);
    }
    if (!message.isOwn && (room !== current || document.hidden)) {
      room.unread += 1;
      updateRoom(room);
    }
  }

  // --- Rooms -------------------------------------------------------------------------------------

  function updateTitle() {
    let unread = 0;
    rooms.forEach((room) => {
      unread += room.unread;
    });
    const name = current === null ? 'parley' : `${current.name} - parley`;
    document.title = unread > 0 ? `(${unread}) ${name}` : name;
  }

  function updateRoom(room) {
    room.badge.textContent = room.unread > 99 ? '99+' : room.unread > 0 ? String(room.unread) : '';
    room.button.dataset.problem = String(room.problem !== '');
    room.button.setAttribute('aria-current', String(room === current));
    room.button.setAttribute('aria-label', room.name +
      (room.unread > 0 ? `, ${room.unread} new` : '') +
      (room.problem !== '' ? ', not available' : ''));
    updateTitle();
  }

  function markRead() {
    if (current !== null && !document.hidden && current.unread > 0) {
      current.unread = 0;
      updateRoom(current);
    }
  }

  function notify(text) {
    $('notice').textContent = text;
  }

  function selectRoom(room) {
    const left = current;
    if (left !== null) {
      left.draft = $('message-input').value;
    }
    current = room;
    current.unread = 0;
    if (left !== null) {
      updateRoom(left);
    }
    updateRoom(room);

    // Old messages are not news: a screen reader shall not read all of them aloud.
    const list = $('messages');
    list.setAttribute('aria-live', 'off');
    list.replaceChildren(...room.messages.map((message, index) =>
      renderMessage(message, room.messages[index - 1])));
    window.setTimeout(() => list.setAttribute('aria-live', 'polite'), 200);

    $('room-title').textContent = room.name;
    $('empty').hidden = room.messages.length > 0;
    $('message-input').value = room.draft;
    $('message-input').placeholder = `Message #${room.name}`;
    fitInput();
    notify(room.problem || room.notice);
    scrollToEnd();
    room.button.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  function setProblem(room, problem) {
    room.problem = problem;
    updateRoom(room);
    if (room === current) {
      notify(problem || room.notice);
    }
  }

  function subscribeRoom(room) {
    room.subscription = centrifuge.newSubscription(room.name);
    room.subscription.on('publication', (publication) => takePublication(room, publication));
    room.subscription.on('state', (context) => { room.button.dataset.state = context.newState; });
    room.subscription.on('subscribed', () => setProblem(room, ''));
    room.subscription.on('error', (context) => {
      const error = context.error ?? {};
      setProblem(room, `This room could not be joined: ${error.message ?? 'unknown error'}.`);
    });
    room.subscription.on('unsubscribed', (context) =>
      setProblem(room, `You are not in this room: ${context.reason || 'left'}.`));
    room.subscription.subscribe();
  }

  function addRoom(name) {
    const existing = rooms.get(name);
    if (existing !== undefined) {
      return existing;
    }
    const item = document.createElement('li');
    const button = document.createElement('button');
    const badge = element('span', 'badge');
    badge.setAttribute('aria-hidden', 'true');
    button.type = 'button';
    button.id = `room-${name}`;
    button.dataset.testid = `room-${name}`;
    button.append(element('span', 'label', name), badge);
    item.append(button);
    $('room-list').append(item);

    const room = { name, button, badge, subscription: null, messages: [], unread: 0, problem: '',
      notice: '', draft: '' };
    button.addEventListener('click', () => {
      selectRoom(room);
      $('message-input').focus();
    });
    rooms.set(name, room);
    updateRoom(room);
    if (centrifuge !== null) {
      subscribeRoom(room);
    }
    return room;
  }

  function submitRoom(event) {
    event.preventDefault();
    const name = $('room-input').value.trim().replace(/^#/, '').replace(/\s+/g, '-');
    let problem = '';
    if (name === '') {
      problem = 'Write the name of a room first.';
    } else if (!ROOM_PATTERN.test(name)) {
      problem = 'A room has 1 to 64 letters, digits or _ . : @ -';
    } else if (rooms.size >= ROOMS_MAX && !rooms.has(name)) {
      problem = `No more than ${ROOMS_MAX} rooms.`;
    }
    $('room-error').textContent = problem;
    if (problem !== '') {
      $('room-input').focus();
      return;
    }
    const room = addRoom(name);
    keep('parley.rooms', JSON.stringify([...rooms.keys()]));
    $('room-input').value = '';
    selectRoom(room);
    $('message-input').focus();
  }

  // --- Writing -----------------------------------------------------------------------------------

  function fitInput() {
    const input = $('message-input');
    input.style.height = 'auto';
    input.style.height = `${input.scrollHeight + 2}px`;
  }

  function explainPublish(error) {
    const code = error?.code ?? 0;
    if (code === 1 || code === 11) {
      return 'No answer from the server: the message may not have been sent.';
    }
    if (code === 103) {
      return 'Not sent: you may not write in this room.';
    }
    if (code === 111) {
      return 'Not sent: too many messages at once. Wait a moment.';
    }
    return `Not sent: ${error?.message || 'unknown error'}.`;
  }

  /* What could not be sent goes back where it was written, before what was written since. */
  function returnDraft(room, text) {
    const join = (since) => (since === '' ? text : `${text}\n${since}`);
    if (room === current) {
      $('message-input').value = join($('message-input').value);
      fitInput();
    } else {
      room.draft = join(room.draft);
    }
  }

  async function submitMessage(event) {
    event.preventDefault();
    const input = $('message-input');
    const room = current;
    const text = input.value.trim();
    input.focus();
    if (text === '') {
      notify('Write a message first.');
      return;
    }
    const message = { name: myName, text, sent: Date.now() };
    const key = `${message.sent} ${message.text}`;
    input.value = '';
    fitInput();
    room.notice = '';
    notify('');
    sent.add(key);
    try {
      await room.subscription.publish(message);
    } catch (error) {
      sent.delete(key);
      returnDraft(room, text);
      room.notice = explainPublish(error);
      if (room === current) {
        notify(room.notice);
      }
    }
  }

  // --- The connection ----------------------------------------------------------------------------

  function showState(state, text) {
    $('connection-state').dataset.state = state;
    $('connection-state').textContent = text;
    $('reconnect').hidden = state !== 'disconnected';
  }

  function connect() {
    if (typeof window.Centrifuge !== 'function') {
      showState('offline', 'The chat library did not load');
      return;
    }
    const scheme = window.location.protocol === 'https:' ? 'wss' : 'ws';
    centrifuge = new window.Centrifuge(`${scheme}://${window.location.host}/connection/websocket`, {
      name: 'parley-page',
    });
    centrifuge.on('connecting', () => {
      showState(wasConnected ? 'reconnecting' : 'connecting',
        wasConnected ? 'Reconnecting…' : 'Connecting…');
    });
    centrifuge.on('connected', (context) => {
      wasConnected = true;
      myClients.add(context.client);
      showState('connected', 'Connected');
    });
    centrifuge.on('disconnected', (context) => {
      showState('disconnected', `Disconnected: ${context.reason || 'closed by the server'}`);
    });
    rooms.forEach(subscribeRoom);
    centrifuge.connect();
  }

  // --- The name, and the start -------------------------------------------------------------------

  function askName() {
    $('chat').hidden = true;
    $('welcome').hidden = false;
    $('name-input').value = myName;
    $('name-input').focus();
    $('name-input').select();
  }

  function enter(name) {
    myName = name;
    keep('parley.name', name);
    $('my-name').textContent = name;
    $('welcome').hidden = true;
    $('chat').hidden = false;
    if (centrifuge === null) {
      connect();
    }
    fitInput();
    scrollToEnd();
    $('message-input').focus();
  }

  function submitName(event) {
    event.preventDefault();
    const name = cleanName($('name-input').value);
    const problem = name === '' ? 'Choose a name first.' : '';
    $('name-error').textContent = problem;
    $('name-input').setAttribute('aria-invalid', String(problem !== ''));
    if (problem !== '') {
      $('name-input').focus();
      return;
    }
    enter(name);
  }

  function start() {
    const asked = new URLSearchParams(window.location.search).getAll('room')
      .filter((name) => ROOM_PATTERN.test(name));
    const names = new Set([...asked, ...DEFAULT_ROOMS, ...recallRooms()]);
    [...names].slice(0, ROOMS_MAX).forEach(addRoom);
    selectRoom(rooms.values().next().value);

    $('join-form').addEventListener('submit', submitName);
    $('room-form').addEventListener('submit', submitRoom);
    $('message-form').addEventListener('submit', submitMessage);
    $('change-name').addEventListener('click', askName);
    $('reconnect').addEventListener('click', () => centrifuge.connect());
    $('newest').addEventListener('click', () => {
      scrollToEnd();
      $('message-input').focus();
    });
    $('scroll').addEventListener('scroll', () => {
      if (isAtEnd()) {
        $('newest').hidden = true;
      }
    });
    $('message-input').addEventListener('input', fitInput);
    $('message-input').addEventListener('keydown', (event) => {
      // Enter that ends the composition of a letter is not the end of a message.
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        $('message-form').requestSubmit();
      }
    });
    document.addEventListener('visibilitychange', markRead);
    window.addEventListener('resize', fitInput);

    const name = cleanName(recall('parley.name') ?? '');
    if (name === '') {
      askName();
    } else {
      enter(name);
    }
  }

  start();
})();
