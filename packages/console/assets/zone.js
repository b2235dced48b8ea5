// Offers the time zone that the browser is in.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const field = document.getElementById('timezone');
const offer = document.querySelector('[data-zone]');

function judge() {
  offer.hidden = !zone || field.value === zone;
}

offer.querySelector('strong').textContent = zone;
offer.querySelector('button').addEventListener('click', () => {
  field.value = zone;
  field.focus();
  judge();
});
field.addEventListener('input', judge);
judge();
