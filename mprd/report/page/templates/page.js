// Pictures are drawn when they come near the view; a click shows one large.
(() => {
  const { images, facts, cameras, groups } = JSON.parse(document.getElementById("pictures").textContent);
  const large = document.getElementById("large");
  const make = (name, type, text) => {
    const element = document.createElement(name);
    if (type) element.className = type;
    if (text) element.textContent = text;
    return element;
  };

  const drawGroup = place => {
    for (const [row, note, mark] of groups[place.dataset.group]) {
      const figure = make("figure", mark), button = make("button", "picture"), image = make("img");
      button.type = "button";
      button.dataset.row = row;
      image.alt = image.title = facts[row][0];
      image.src = images[row];
      button.append(image);
      const caption = make("figcaption");
      if (cameras[row]) caption.append(make("span", `camera camera${cameras[row][0]}`, cameras[row][1]), " ");
      caption.append(note);
      figure.append(button, caption);
      place.append(figure);
    }
    place.style.minHeight = "";
  };
  const draw = new IntersectionObserver(entries => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      draw.unobserve(target);
      if (target.dataset.group) drawGroup(target);
      else target.firstElementChild.src = images[target.dataset.row];
    }
  }, { rootMargin: "600px 0px" });
  const style = getComputedStyle(document.querySelector("main"));
  const tall = parseFloat(style.getPropertyValue("--tall"));
  const wide = Math.max(46, tall * (parseFloat(style.getPropertyValue("--ratio")) || 1) + 6) + 4;
  for (const place of document.querySelectorAll("[data-group]")) {
    const lines = Math.ceil(groups[place.dataset.group].length / Math.max(1, Math.floor(place.clientWidth / wide)));
    place.style.minHeight = `${lines * (tall + 28)}px`;
    draw.observe(place);
  }
  document.querySelectorAll("button.picture").forEach(button => draw.observe(button));

  const picture = make("img");
  large.prepend(picture);
  let shown = null;
  const show = button => {
    shown = button;
    const [path, ...rest] = facts[button.dataset.row];
    picture.src = images[button.dataset.row];
    picture.alt = path;
    large.querySelector("p").textContent = path;
    const list = large.querySelector("dl");
    list.replaceChildren();
    for (let n = 0; n < rest.length; n += 2) list.append(make("dt", "", rest[n]), make("dd", "", rest[n + 1]));
    if (!large.open) large.showModal();
  };
  const step = by => {
    const row = [...shown.closest(".pictures").querySelectorAll("button.picture")];
    const next = row[row.indexOf(shown) + by];
    if (next) show(next);
  };
  large.addEventListener("close", () => shown.focus());
  large.addEventListener("keydown", event => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  document.addEventListener("click", event => {
    const button = event.target.closest("button");
    if (event.target === large || button?.value === "close") large.close();
    else if (button?.value === "before") step(-1);
    else if (button?.value === "next") step(1);
    else if (button?.matches(".picture")) show(button);
  });

  for (const choice of document.querySelectorAll("select.order")) {
    choice.addEventListener("change", () => {
      const list = choice.closest(".groups").querySelector(".list");
      const key = group => Number(group.dataset.keys.split(" ")[choice.selectedIndex]);
      list.append(...[...list.children].sort((one, other) => key(other) - key(one)));
    });
  }
})();
