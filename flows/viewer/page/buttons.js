// A row of buttons of which one is pressed.
export function buttons(id, names, act, label = (name) => name) {
  // act(name) tells which button is pressed from then on, none by default
  const press = (chosen) => all.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.name === chosen)));
  const all = names.map((name) => {
    const button = document.createElement("button");
    button.dataset.name = name;
    button.textContent = label(name);
    button.onclick = () => press(act(name));
    return button;
  });
  document.getElementById(id).append(...all);
  return press;
}
