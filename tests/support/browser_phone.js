// A phone made of JsSIP. All SIP is the library's own; only the sound is not: the exchange carries signalling, and
// a UDP desk phone speaks no WebRTC, so this session description is one that every phone understands.
class PlainSound extends EventTarget {
  iceGatheringState = "complete";
  iceConnectionState = "connected";
  signalingState = "stable";
  localDescription = null;
  remoteDescription = null;

  async createOffer() {
    return { type: "offer", sdp: PlainSound.sdp };
  }

  async createAnswer() {
    return { type: "answer", sdp: PlainSound.sdp };
  }

  async setLocalDescription(description) {
    this.localDescription = description;
  }

  async setRemoteDescription(description) {
    this.remoteDescription = description;
    window.phone.remoteSdp = description.sdp;
  }

  addTrack() {}

  getSenders() {
    return [];
  }

  close() {
    this.signalingState = "closed";
  }
}

window.RTCPeerConnection = PlainSound;

// What has happened, oldest first; the test waits for entries.
window.phone = { events: [], session: null, remoteSdp: null };

function note(name, detail = "") {
  window.phone.events.push([name, String(detail)]);
}

function follow(session) {
  window.phone.session = session;
  session.on("progress", (event) => note("progress", event.originator));
  session.on("confirmed", (event) => note("confirmed", event.originator));
  session.on("ended", (event) => note("ended", `${event.originator} ${event.cause}`));
  session.on("failed", (event) => note("failed", `${event.originator} ${event.cause}`));
}

window.startPhone = ({ url, domain, number, password, soundPort }) => {
  PlainSound.sdp = [
    "v=0",
    "o=- 1 1 IN IP4 127.0.0.1",
    "s=-",
    "c=IN IP4 127.0.0.1",
    "t=0 0",
    `m=audio ${soundPort} RTP/AVP 0`,
    "a=rtpmap:0 PCMU/8000",
    "a=sendrecv",
    "",
  ].join("\r\n");
  const agent = new JsSIP.UA({
    sockets: [new JsSIP.WebSocketInterface(url)],
    uri: `sip:${number}@${domain}`,
    password,
    register_expires: 120,
    session_timers: true,
  });
  window.phone.agent = agent;
  agent.on("connected", () => note("connected"));
  agent.on("disconnected", () => note("disconnected"));
  agent.on("registered", () => note("registered"));
  agent.on("unregistered", () => note("unregistered"));
  agent.on("registrationFailed", (event) => note("registrationFailed", event.cause));
  agent.on("newRTCSession", (event) => {
    if (event.originator === "remote") {
      follow(event.session);
      note("incoming", event.request.from.uri.user);
    }
  });
  agent.on("newMessage", (event) => note("message", event.request.body));
  agent.start();
};

const quietly = { mediaStream: new MediaStream(), mediaConstraints: { audio: false, video: false } };

window.dial = (target) => {
  follow(window.phone.agent.call(target, quietly));
};

window.answer = () => {
  window.phone.session.answer(quietly);
};
