// Unpacks what the page holds: gzip in base64 -> bytes; modules become blob: URLs in an import map, then the viewer starts.
"use strict";
(async () => {
  const say = (text) => { document.getElementById("message").textContent = text; };
  const unpack = async (element) => {
    const text = atob(element.textContent.trim());
    const packed = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
    element.textContent = "";
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };
  try {
    if (!("DecompressionStream" in window)) throw new Error("this browser is too old: Chrome 80, Firefox 113 or Safari 16.4 is needed");
    const person = JSON.parse(document.getElementById("person").textContent);
    const imports = {};
    for (const element of document.querySelectorAll("script[data-module]")) {
      const code = new TextDecoder().decode(await unpack(element));
      imports[element.dataset.module] = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    }
    for (const element of document.querySelectorAll("script[data-part]")) person[element.dataset.part].bytes = await unpack(element);
    const map = document.createElement("script");
    map.type = "importmap";
    map.textContent = JSON.stringify({ imports });
    document.head.append(map);
    const viewer = await import("turnaround/viewer");
    await viewer.start(person);
    say("");
  } catch (error) {
    say("This person cannot be shown: " + error.message);
    document.body.dataset.failed = error.message;
    throw error;
  }
})();
