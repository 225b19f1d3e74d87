// Page behaviour beyond htmx: times in the viewer's zone, copying, and live parts that stay still while in use.
"use strict";

(() => {
  const shown = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

  const localiseTimes = (root) => {
    for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
      time.textContent = shown.format(new Date(time.dateTime));
      time.dataset.local = "";
    }
  };

  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

  const nameZone = () => {
    for (const place of document.querySelectorAll("[data-zone]")) {
      place.textContent = `in your time zone (${zone}); UTC on hover`;
    }
  };

  // --- time fields: shown in the viewer's zone like all times, submitted as a moment

  const localText = (moment) =>
    new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString().replace(/(:00)?\.000Z$|Z$/, "");

  const localiseFields = () => {
    // Without this, only the fields' own text could be submitted, which then has to be UTC.
    if (!window.FormDataEvent) return;
    for (const place of document.querySelectorAll("[data-zone-name]")) place.textContent = zone;
    for (const field of document.querySelectorAll("input[data-moment]")) {
      // The value from the server: the browser may have restored an older one into the field.
      const moment = new Date(`${field.getAttribute("value")}Z`);
      const known = !Number.isNaN(moment.getTime());
      field.value = known ? localText(moment) : "";
      field.dataset.moment = known ? moment.toISOString() : "";
      field.dataset.shown = field.value;
    }
  };

  document.addEventListener("formdata", (event) => {
    for (const field of event.target.querySelectorAll("input[data-shown]")) {
      if (!field.value) continue;
      // An unchanged field keeps its moment: in autumn, an hour that occurs twice is ambiguous.
      const moment = field.value === field.dataset.shown ? field.dataset.moment : new Date(field.value).toISOString();
      event.formData.set(field.name, moment.replace(".000Z", "Z"));
    }
  });

  const offerCopying = (root) => {
    if (!navigator.clipboard) return;
    for (const button of root.querySelectorAll("button[data-copy]")) button.hidden = false;
  };

  const copy = async (button) => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    const label = button.firstChild;
    const before = label.textContent;
    label.textContent = "Copied";
    setTimeout(() => { label.textContent = before; }, 1500);
  };

  // --- live parts

  const FIRST_PAUSE_MS = 1000;
  const LONGEST_PAUSE_MS = 60_000;
  // A stream that lived this long did not fail, so the next pause is short again.
  const LASTING_MS = 10_000;

  const notice = (name, isShown) => {
    const place = document.querySelector(`[data-notice="${name}"]`);
    if (place) place.hidden = !isShown;
  };

  const tellEnd = (why) => {
    const way = document.querySelector("[data-sign-in]");
    if (way) way.href = `/dashboard/sign-in?to=${encodeURIComponent(location.pathname)}`;
    notice("away", false);
    notice(why, true);
    for (const part of document.querySelectorAll(".live")) part.hidden = true;
    if (why !== "gone") return;
    // The content is gone, so its last state and its buttons are hidden.
    for (const part of document.querySelectorAll("[data-hidden-when-gone]")) part.hidden = true;
  };

  // Replaces the EventSource of htmx's extension, which would retry for ever at the same pace while the service is down,
  // and would not stop. This one waits longer each time, and stops at the stream's last event.
  class LiveStream {
    constructor(url) {
      this.url = url;
      this.listeners = [];
      this.failures = 0;
      this.readyState = EventSource.CONNECTING;
      this.connect();
    }

    connect() {
      if (this.readyState === EventSource.CLOSED) return;
      const source = new EventSource(this.url);
      this.source = source;
      for (const [name, heard] of this.listeners) source.addEventListener(name, heard);
      source.addEventListener("end", (event) => {
        this.close();
        tellEnd(event.data);
      });
      source.onopen = (event) => {
        this.openedMs = Date.now();
        notice("away", false);
        if (this.onopen) this.onopen(event);
      };
      source.onerror = () => {
        source.close();
        this.again();
      };
    }

    again() {
      if (this.readyState === EventSource.CLOSED) return;
      if (this.openedMs && Date.now() - this.openedMs > LASTING_MS) this.failures = 0;
      this.openedMs = 0;
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** this.failures, LONGEST_PAUSE_MS);
      this.failures += 1;
      if (this.failures > 1) notice("away", true);
      // Spreads the retries of many pages.
      this.timer = setTimeout(() => this.connect(), pauseMs * (0.8 + Math.random() * 0.4));
    }

    addEventListener(name, heard) {
      this.listeners.push([name, heard]);
      this.source.addEventListener(name, heard);
    }

    removeEventListener(name, heard) {
      this.listeners = this.listeners.filter(([known, by]) => known !== name || by !== heard);
      this.source.removeEventListener(name, heard);
    }

    close() {
      this.readyState = EventSource.CLOSED;
      clearTimeout(this.timer);
      this.source.close();
    }
  }

  htmx.createEventSource = (url) => new LiveStream(url);

  const isHeld = (part) => {
    const live = document.querySelector("[data-live]");
    return (live && !live.checked) || part.contains(document.activeElement) && document.activeElement !== part;
  };

  document.addEventListener("htmx:sseBeforeMessage", (event) => {
    const part = event.target;
    if (isHeld(part)) {
      event.preventDefault();
    } else if (part.matches("[data-charts]")) {
      event.preventDefault();
      const found = JSON.parse(event.detail.data);
      for (const place of part.querySelectorAll("[data-chart]")) Charts.draw(place, found[place.dataset.chart]);
    }
  });

  document.addEventListener("change", (event) => {
    // The sample shows the trigger that was selected last.
    const field = document.querySelector("[data-sample-field]");
    if (field && event.target.matches("[data-sample]") && event.target.checked) field.value = event.target.dataset.sample;
  }, true);

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-copy]");
    if (button) copy(button);
  });

  const prepare = (root) => {
    localiseTimes(root);
    offerCopying(root);
    if (window.Charts) Charts.drawAll(root);
  };

  document.addEventListener("htmx:afterSwap", (event) => prepare(event.target));
  document.addEventListener("htmx:sseMessage", (event) => prepare(event.target));
  document.addEventListener("htmx:load", (event) => prepare(event.target));
  document.addEventListener("DOMContentLoaded", () => {
    nameZone();
    localiseFields();
    // A confirmation is shown once, not after reloading the page or in a bookmark.
    const here = new URL(location.href);
    if (here.searchParams.has("done")) {
      here.searchParams.delete("done");
      history.replaceState(history.state, "", here);
    }
    prepare(document);
    for (const part of document.querySelectorAll(".live, .live-notices")) part.hidden = false;
  });
})();
