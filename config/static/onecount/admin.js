/* Live fragments, ages of instants, copying, and forms that are sent once. Nothing here is needed to read or save a page. */
(() => {
    "use strict";

    const age = (instant) => {
        const seconds = Math.round((Date.now() - Date.parse(instant)) / 1000);
        const size = Math.abs(seconds);
        const [count, unit] = size < 100 ? [size, "s"] : size < 6000 ? [Math.round(size / 60), "min"]
            : size < 172800 ? [Math.round(size / 3600), "h"] : [Math.round(size / 86400), "days"];
        return seconds >= 0 ? `${count} ${unit} ago` : `in ${count} ${unit}`;
    };

    /* <time data-moment> keeps its text and tells the age on hover; <time data-age> shows the age and tells the instant. */
    const showAges = (root) => {
        root.querySelectorAll("time[data-moment]").forEach((each) => { each.title = age(each.dateTime); });
        root.querySelectorAll("time[data-age]").forEach((each) => {
            if (!each.title) each.title = `${each.textContent} UTC`;
            each.textContent = age(each.dateTime);
        });
    };

    class Live {
        constructor(element) {
            this.element = element;
            this.address = element.dataset.live;
            this.every = Number(element.dataset.every || 2000);
            this.tag = element.dataset.etag || "";
            this.state = document.getElementById(element.dataset.state);
            this.failures = 0;
            this.timer = 0;
            document.addEventListener("visibilitychange", () => this.wake());
            this.wake();
        }

        wake() {
            clearTimeout(this.timer);
            if (document.hidden) return this.say("Paused while this tab is hidden.");
            return this.poll();
        }

        say(text, tone = "") {
            if (!this.state || this.state.textContent === text) return;
            this.state.textContent = text;
            this.state.dataset.tone = tone;
        }

        async poll() {
            try {
                this.take(await this.ask());
            } catch {
                this.failures += 1;
                this.say("The server does not answer; the figures are old. Trying again.", "bad");
            }
            clearTimeout(this.timer);
            const wait = this.every * Math.min(2 ** this.failures, 15);
            if (!document.hidden && this.failures < 1000) this.timer = setTimeout(() => this.poll(), wait);
        }

        async ask() {
            const answer = await fetch(this.address, {
                headers: this.tag ? { "If-None-Match": this.tag } : {},
                cache: "no-store",
                redirect: "manual",
                signal: AbortSignal.timeout(10000),
            });
            if (answer.status !== 200) return { status: answer.status, type: answer.type };
            return { status: 200, tag: answer.headers.get("ETag") || "", text: await answer.text() };
        }

        take(answer) {
            if (answer.type === "opaqueredirect" || answer.status === 403) {
                this.failures = 1000;
                return this.say("You are signed out. Reload the page to sign in.", "bad");
            }
            if (answer.status !== 200 && answer.status !== 304) throw new Error(String(answer.status));
            this.failures = 0;
            if (answer.status === 200) {
                this.tag = answer.tag;
                this.replace(answer.text);
            }
            return this.say("Live, every 2 seconds.");
        }

        /* Keeps the focus where it was: a link that is drawn again is focused again. */
        replace(text) {
            const focused = this.element.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
            const fragment = new DOMParser().parseFromString(text, "text/html");
            this.element.replaceChildren(...fragment.body.childNodes);
            showAges(this.element);
            if (focused) this.element.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
        }
    }

    const copy = async (button) => {
        const source = document.getElementById(button.dataset.copy);
        if (!source) return;
        await navigator.clipboard.writeText(source.textContent.trim());
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 2000);
    };

    document.addEventListener("DOMContentLoaded", () => {
        showAges(document);
        setInterval(() => { if (!document.hidden) showAges(document); }, 1000);
        document.querySelectorAll("[data-live]").forEach((element) => new Live(element));
    });
    document.addEventListener("click", (event) => {
        const button = event.target.closest("[data-copy]");
        if (button) copy(button);
    });
    /* A second click while the first is on its way does nothing; the form's key makes it harmless where this does not run. */
    document.addEventListener("submit", (event) => {
        const button = event.target.querySelector("[data-once]");
        if (!button) return;
        if (button.dataset.sent) event.preventDefault();
        button.dataset.sent = "yes";
        window.addEventListener("pageshow", () => { delete button.dataset.sent; }, { once: true });
    });
})();
