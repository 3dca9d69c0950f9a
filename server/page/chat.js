// SPDX-License-Identifier: Apache-2.0
/*
 * The chat page: rooms are channels, a message is a publication {id, name, text, sent}.
 *
 * The connection, its reconnects, the subscriptions and what they recover are the SDK's (the global
 * Centrifuge). The page adds what was said before it came, and says where something may be missing.
 * A message of ours is outgoing until it comes back as a publication. Its id is what makes it one
 * message, however often somebody had to try.
 *
 * What others wrote is foreign: it is checked, cut, and only ever becomes text (textContent). So are
 * names: the server knows clients, and the page learns from messages what they call themselves.
 * Nothing is kept but the name and the list of rooms, in localStorage, and for as long as the tab
 * lives the ids that the server gave it.
 */
'use strict';

(() => {
  const DEFAULT_ROOMS = ['lobby', 'random', 'help'];
  const ROOM_PATTERN = /^[A-Za-z0-9_.:@-]{1,64}$/;
  const ROOMS_MAX = 100; // the server's client.channel_limit is 128
  const NAME_MAX = 40; // characters
  const TEXT_MAX = 4000; // characters, as the maxlength of the input
  const KEPT_MAX = 500; // messages of a room that stay on the page
  const HISTORY_MAX = 100; // messages that are asked for on entering a room, in one answer
  const OUTGOING_MAX = 20; // messages of a room that wait to be sent; more stay in the input
  const PEOPLE_MAX = 100; // people who are listed by name; the others are counted
  const NAMES_MAX = 1000; // clients whose names are remembered; the oldest is forgotten
  const CLIENTS_MAX = 50; // ids of this tab that are remembered
  const REPEAT_MS = 1000; // before a message that had no answer is said again
  const NOT_AVAILABLE = 108; // the protocol's code for what a channel does not have
  const FOLLOWS_MS = 5 * 60 * 1000; // later than this, a message names its author again
  const TINTS = 8; // colours of chat.css
  const GAP = 'Some messages may be missing here';
  const STATUS = { // of an outgoing message
    waiting: 'Waiting for the connection…',
    sending: 'Sending…',
    accepted: '', // and will come back
    unsure: 'May not have been sent',
    refused: 'Not sent',
  };

  const $ = (id) => document.getElementById(id);

  // --- What the page knows -----------------------------------------------------------------------

  const rooms = new Map(); // name -> what addRoom() makes
  const names = new Map(); // client id -> what it calls itself, as far as it has said anything
  let myClients = []; // ids that the server gave this tab: a new one each time, the last is in use
  let centrifuge = null;
  let current = null; // the room that is shown
  let myName = '';
  let wasConnected = false;

  // --- What is kept between visits. A browser may refuse: then nothing is kept. --------------------

  function recall(key, storage = 'localStorage') {
    try {
      return window[storage].getItem(key);
    } catch {
      return null;
    }
  }

  function keep(key, value, storage = 'localStorage') {
    try {
      window[storage].setItem(key, value);
    } catch {
      // A visit without memory is still a visit.
    }
  }

  function recallList(key, storage) {
    try {
      const list = JSON.parse(recall(key, storage) ?? '[]');
      return Array.isArray(list) ? list : [];
    } catch {
      return [];
    }
  }

  // --- Foreign values ----------------------------------------------------------------------------

  function cleanName(value) {
    return String(value).replace(/\s+/g, ' ').trim().slice(0, NAME_MAX);
  }

  function learnName(client, name) {
    if (names.get(client) === name) {
      return;
    }
    names.set(client, name);
    if (names.size > NAMES_MAX) {
      names.delete(names.keys().next().value);
    }
    showPeople(current);
  }

  /* A publication as a message, whatever somebody put into it. */
  function readMessage(publication, epoch) {
    const data = publication.data;
    const isOurs = typeof data === 'object' && data !== null && typeof data.text === 'string';
    const name = isOurs && typeof data.name === 'string' ? cleanName(data.name) : '';
    const text = isOurs ? data.text : JSON.stringify(data) ?? '';
    const time = isOurs && Number.isFinite(data.sent) ? new Date(data.sent) : new Date();
    const client = publication.info?.client ?? '';
    if (client !== '' && name !== '') {
      learnName(client, name);
    }
    return {
      id: isOurs && typeof data.id === 'string' ? data.id.slice(0, 64) : '',
      epoch,
      offset: publication.offset ?? 0,
      name: name || 'somebody',
      text: text.slice(0, TEXT_MAX),
      time: Number.isNaN(time.getTime()) ? new Date() : time,
      isOwn: myClients.includes(client),
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

  function clockTime(time) {
    const isToday = time.toDateString() === new Date().toDateString();
    return time.toLocaleString([], { dateStyle: isToday ? undefined : 'short', timeStyle: 'short' });
  }

  /* A message, or a mark between messages. */
  function renderMessage(message, before) {
    if (message.mark !== undefined) {
      const mark = element('li', message.isGap ? 'mark gap' : 'mark', message.mark);
      mark.dataset.testid = message.isGap ? 'gap' : 'mark';
      return mark;
    }
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
    const time = element('time', '', clockTime(message.time));
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

  /* Whoever reads the newest goes on reading the newest; whoever reads older ones is not disturbed. */
  function keepPlace(change) {
    const follow = isAtEnd();
    change();
    if (follow) {
      scrollToEnd();
    }
  }

  function showMessages(room) {
    // Old messages are not news: a screen reader shall not read all of them aloud.
    const list = $('messages');
    list.setAttribute('aria-live', 'off');
    list.replaceChildren(...room.messages.map((message, index) =>
      renderMessage(message, room.messages[index - 1])));
    window.setTimeout(() => list.setAttribute('aria-live', 'polite'), 200);
    $('empty').hidden = room.messages.length + room.outgoing.length > 0;
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

  function isKnown(room, message) {
    return room.messages.some((one) => (message.id !== '' && one.id === message.id) ||
      (message.offset > 0 && one.offset === message.offset && one.epoch === message.epoch));
  }

  function takePublication(room, publication) {
    const message = readMessage(publication, room.epoch);
    takeOutgoing(room, message.id);
    if (isKnown(room, message)) {
      return;
    }
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

  // --- What was said before, and what may have been missed -----------------------------------------

  /*
   * What is on the page since the last gap came in without a hole, live or recovered, so what is
   * older than the first of it goes before it.
   */
  function placeHistory(room, page) {
    const start = room.messages.findLastIndex((one) => one.isGap) + 1;
    const live = room.messages.slice(start);
    room.epoch = page.epoch; // without recovery, nobody said it before
    const older = page.publications.reverse()
      .filter((one) => live.length === 0 || one.offset < live[0].offset)
      .map((one) => readMessage(one, page.epoch))
      .filter((one) => !isKnown(room, one));
    older.forEach((one) => takeOutgoing(room, one.id));
    if (start === 0 && older.length > 0) {
      older.unshift({ mark: 'Earlier messages' });
      older.push({ mark: 'You came in here' });
    }
    room.messages = [...room.messages.slice(0, start), ...older, ...live].slice(-KEPT_MAX);
    if (room === current) {
      keepPlace(() => showMessages(room));
    }
  }

  async function loadHistory(room) {
    if (room.isLoaded) {
      return;
    }
    room.isLoaded = true;
    try {
      placeHistory(room, await room.subscription.history({ limit: HISTORY_MAX, reverse: true }));
    } catch (error) {
      // There is none (108), or not for us (103). After anything else, the next time tries again.
      room.isLoaded = error?.code === NOT_AVAILABLE || error?.code === 103;
    }
  }

  /* What was said while we were away did not come: whoever reads on shall know. */
  function markGap(room) {
    for (const one of room.outgoing.filter(({ state }) => state === 'accepted')) {
      takeOutgoing(room, one.data.id);
      room.messages.push(readMessage({ data: one.data, info: { client: myClients.at(-1) } }, ''));
    }
    if (room.messages.length > 0 && !room.messages.at(-1).isGap) {
      room.messages.push({ mark: GAP, isGap: true });
    }
    room.isLoaded = false;
    if (room === current) {
      keepPlace(() => showMessages(room));
      $('announcement').textContent = `${GAP}.`;
    }
  }

  // --- Who is there --------------------------------------------------------------------------------

  function showPeople(room) {
    if (room !== current) {
      return;
    }
    $('people').hidden = room.people === null;
    if (room.people === null) {
      return;
    }
    const others = [...room.people].filter((client) => client !== myClients.at(-1));
    const named = others.filter((client) => names.has(client)).map((client) => names.get(client))
      .sort((a, b) => a.localeCompare(b)).slice(0, PEOPLE_MAX);
    const rest = others.length + room.unlisted - named.length;
    const rows = [`${myName} (you)`, ...named];
    if (rest > 0) {
      rows.push(rest === 1 ? 'someone' : `${rest} others`);
    }
    $('people-count').textContent = String(room.people.size + room.unlisted);
    $('people-list').replaceChildren(...rows.map((row) => element('li', '', row)));
  }

  /*
   * The list, and joins and leaves from then on: who left while the list was on its way is not
   * there. Of a large room the list is a sample, and the others are a number.
   */
  async function loadPeople(room) {
    const people = new Set([myClients.at(-1)]);
    const gone = new Set();
    room.arriving = { people, gone };
    let result = null;
    try {
      const [list, stats] = await Promise.all([room.subscription.presence(),
        room.subscription.presenceStats()]);
      Object.keys(list.clients).filter((client) => !gone.has(client))
        .forEach((client) => people.add(client));
      room.unlisted = Math.max(0, stats.numClients - gone.size - people.size);
      result = people;
    } catch {
      // Not for us to know, or the connection is gone: no list.
    }
    if (room.arriving?.people === people) {
      room.arriving = null;
      room.people = result;
      showPeople(room);
    }
  }

  function changePeople(room, client, isThere) {
    const change = isThere ? 'add' : 'delete';
    room.people?.[change](client);
    room.arriving?.people[change](client);
    room.arriving?.gone[isThere ? 'delete' : 'add'](client);
    showPeople(room);
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

    showMessages(room);
    showOutgoing(room);
    showPeople(room);
    $('room-title').textContent = room.name;
    $('message-input').value = room.draft;
    $('message-input').placeholder = `Message #${room.name}`;
    fitInput();
    notify(room.problem);
    scrollToEnd();
    room.button.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    enterRoom(room);
  }

  function setProblem(room, problem) {
    room.problem = problem;
    updateRoom(room);
    if (room === current) {
      notify(problem);
    }
  }

  function isIn(room) {
    return room.subscription?.state === 'subscribed';
  }

  /* The room is shown and we are in it. */
  async function enterRoom(room) {
    if (isIn(room) && room === current) {
      await Promise.all([loadHistory(room), loadPeople(room)]);
    }
  }

  /* For the first time, or again: what was recovered comes right after this, before any answer. */
  async function cameIn(room, context) {
    setProblem(room, '');
    room.epoch = context.streamPosition?.epoch ?? '';
    if (room.wasIn && !context.recovered) {
      markGap(room);
    }
    room.wasIn = true;
    await enterRoom(room);
    sendOutgoing(room);
  }

  function subscribeRoom(room) {
    room.subscription = centrifuge.newSubscription(room.name);
    room.subscription.on('publication', (publication) => takePublication(room, publication));
    room.subscription.on('state', (context) => { room.button.dataset.state = context.newState; });
    room.subscription.on('join', (context) => changePeople(room, context.info.client, true));
    room.subscription.on('leave', (context) => changePeople(room, context.info.client, false));
    room.subscription.on('subscribed', (context) => cameIn(room, context));
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

    const room = {
      name, button, badge, subscription: null, unread: 0, problem: '', draft: '',
      messages: [], outgoing: [], epoch: '', isLoaded: false, wasIn: false,
      people: null, arriving: null, // client ids; and while a list is on its way, those of it
      unlisted: 0, // how many more there are
    };
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

  /* A timeout, or the connection closed while we waited: it may have been taken all the same. */
  function isUnanswered(error) {
    return error?.code === 1 || error?.code === 11;
  }

  function explainPublish(error) {
    const code = error?.code ?? 0;
    if (isUnanswered(error)) {
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

  function renderOutgoing(room, one) {
    const item = element('li', 'message own');
    item.dataset.testid = 'outgoing';
    item.dataset.state = one.state;
    const status = element('p', 'status muted', STATUS[one.state]);
    const act = (label, action) => {
      const button = element('button', 'quiet', label);
      button.type = 'button';
      button.addEventListener('click', () => {
        notify(room.problem);
        action();
        $('message-input').focus();
      });
      status.append(' ', button);
    };
    if (one.state === 'unsure' || one.state === 'refused') {
      act('Try again', () => {
        one.state = 'waiting';
        showOutgoing(room);
        sendOutgoing(room);
      });
    }
    if (one.state !== 'sending' && one.state !== 'accepted') {
      act('Discard', () => takeOutgoing(room, one.data.id));
    }
    item.append(element('p', 'text', one.data.text), status);
    return item;
  }

  function showOutgoing(room) {
    if (room === current) {
      keepPlace(() => $('outgoing').replaceChildren(
        ...room.outgoing.map((one) => renderOutgoing(room, one))));
      $('empty').hidden = room.messages.length + room.outgoing.length > 0;
    }
  }

  /* It came back, so it was sent, whatever was thought of it; or it is not wanted any more. */
  function takeOutgoing(room, id) {
    const index = room.outgoing.findIndex((one) => one.data.id === id);
    if (index >= 0) {
      const [{ state }] = room.outgoing.splice(index, 1);
      showOutgoing(room);
      if (room === current && state === 'unsure') {
        notify(room.problem);
      }
    }
  }

  /*
   * Its id is its idempotency key, so that it may be said again when no answer came. A room without
   * history does not know what was said before (108): there it is said once.
   */
  async function sayOnce(room, { data }) {
    if (!room.keepsNothing) {
      try {
        await centrifuge.rpc('publish', { channel: room.name, data, idempotency_key: data.id });
        return;
      } catch (error) {
        if (error?.code !== NOT_AVAILABLE) {
          throw error;
        }
        room.keepsNothing = true;
      }
    }
    await room.subscription.publish(data);
  }

  async function publish(room, one) {
    one.state = 'sending';
    try {
      await sayOnce(room, one);
      one.state = 'accepted';
    } catch (error) {
      const mayRepeat = !room.keepsNothing && (isUnanswered(error) || error?.temporary);
      if (mayRepeat) {
        one.state = 'waiting';
        window.setTimeout(() => sendOutgoing(room), REPEAT_MS);
      } else {
        one.state = isUnanswered(error) ? 'unsure' : 'refused';
        if (room === current && room.outgoing.includes(one)) {
          notify(explainPublish(error));
        }
      }
    }
    showOutgoing(room);
  }

  /* Nothing is given to the SDK while we are not in the room: it would be lost with a timeout. */
  function sendOutgoing(room) {
    if (isIn(room)) {
      room.outgoing.filter((one) => one.state === 'waiting').forEach((one) => publish(room, one));
      showOutgoing(room);
    }
  }

  function makeId() {
    return window.crypto.getRandomValues(new Uint32Array(4)).join('-');
  }

  function submitMessage(event) {
    event.preventDefault();
    const input = $('message-input');
    const text = input.value.trim();
    input.focus();
    if (text === '') {
      notify('Write a message first.');
      return;
    }
    if (current.outgoing.length >= OUTGOING_MAX) {
      notify('Too many messages wait to be sent here.');
      return;
    }
    const data = { id: makeId(), name: myName, text, sent: Date.now() };
    current.outgoing.push({ data, state: 'waiting' });
    input.value = '';
    fitInput();
    notify('');
    showOutgoing(current);
    scrollToEnd();
    sendOutgoing(current);
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
      $('announcement').textContent = '';
      showState(wasConnected ? 'reconnecting' : 'connecting',
        wasConnected ? 'Reconnecting…' : 'Connecting…');
    });
    centrifuge.on('connected', (context) => {
      wasConnected = true;
      myClients = [...myClients, context.client].slice(-CLIENTS_MAX);
      keep('parley.clients', JSON.stringify(myClients), 'sessionStorage');
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
    showPeople(current);
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
    const known = recallList('parley.rooms').filter((name) => ROOM_PATTERN.test(name));
    myClients = recallList('parley.clients', 'sessionStorage');
    [...new Set([...asked, ...DEFAULT_ROOMS, ...known])].slice(0, ROOMS_MAX).forEach(addRoom);
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
