// A virtual list: only what is near the view exists; heights are computed, not measured.
export class List {
  constructor(root, heightOf, draw) {
    Object.assign(this, { root, heightOf, draw, keys: [], tops: [0], cards: new Map() });
    addEventListener("scroll", () => this.schedule(), { passive: true });
    addEventListener("resize", () => this.show(this.keys));
  }

  show(keys) {
    this.keys = keys;
    this.tops = [0];
    for (const key of keys) this.tops.push(this.tops.at(-1) + this.heightOf(key));
    this.root.style.height = `${this.tops.at(-1)}px`;
    this.place();
  }

  schedule() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.place(); });
  }

  at(offset) { // index of the key at an offset, by bisection
    let low = 0, high = this.keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.tops[middle + 1] <= offset) low = middle + 1; else high = middle;
    }
    return low;
  }

  place() {
    const start = scrollY - this.root.offsetTop;
    const first = this.at(start - innerHeight / 2), last = this.at(start + 1.5 * innerHeight);
    const wanted = new Set();
    let previous = null; // the order of the elements is that of the eye and of Tab
    for (let n = first; n <= last && n < this.keys.length; n++) {
      const key = this.keys[n], card = this.draw(key, this.cards.get(key));
      wanted.add(key);
      if (card !== this.cards.get(key)) {
        this.cards.get(key)?.replaceWith(card);
        this.cards.set(key, card);
      }
      const top = `${this.tops[n]}px`;
      if (card.style.top !== top) card.style.top = top;
      card.setAttribute("aria-posinset", n + 1);
      card.setAttribute("aria-setsize", this.keys.length);
      const after = previous ? previous.nextSibling : this.root.firstChild;
      if (after !== card) this.root.insertBefore(card, after);
      previous = card;
    }
    for (const [key, card] of this.cards) {
      if (!wanted.has(key)) { card.remove(); this.cards.delete(key); }
    }
  }

  reveal(key) {
    const n = this.keys.indexOf(key);
    if (n < 0) return false;
    const head = document.getElementById("top").offsetHeight + 8;
    const top = this.tops[n] + this.root.offsetTop, bottom = this.tops[n + 1] + this.root.offsetTop;
    const foot = document.getElementById("bottom").offsetHeight;
    if (top < scrollY + head || bottom - top > innerHeight - head - foot) {
      scrollTo({ top: top - head });
    } else if (bottom > scrollY + innerHeight - foot) {
      scrollTo({ top: bottom - innerHeight + foot });
    }
    this.place();
    return true;
  }
}
