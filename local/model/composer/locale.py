"""What a place lends to a page: an address, a telephone number, the way prices are written."""

from dataclasses import dataclass

from local.model.composer import lexicon
from local.model.composer.brief import Brief
from local.model.composer.chance import Chance


@dataclass(frozen=True, slots=True)
class Locale:
    """The country of a brief, or a neutral one."""

    country: str
    hello: str
    street: str
    phone: str
    money: str
    rate: float
    pattern: str

    def price(self, euros: float) -> str:
        """`euros` as a price tag, without cents when it is an int; nothing for 0."""
        if not euros:
            return ""
        amount = euros * self.rate
        if "{cents}" not in self.money:
            step = 5 if amount > 20 else 1
            whole = round(amount / step) * step
            return self.money.format(
                units=f"{whole:,}".replace(",", " ") if whole > 9999 else whole
            )
        units, cents = divmod(round(amount * 100), 100)
        if isinstance(euros, int) and not cents:
            return self.money.replace(",{cents}", "").replace(".{cents}", "").format(units=units)
        return self.money.format(units=units, cents=f"{cents:02d}")


def of(brief: Brief) -> Locale:
    """The locale of `brief`."""
    entry = lexicon.table("places")[brief.country]
    chance = Chance(brief.seed)
    phone = entry["phone"]
    for index in range(phone.count("{d}")):
        phone = phone.replace("{d}", str(chance.number(f"digit{index}", 0, 9)), 1)
    return Locale(
        country=brief.country,
        hello=entry["hello"],
        street=chance.pick("street", entry["streets"]).format(n=chance.number("house", 3, 88)),
        phone=phone,
        money=entry["money"],
        rate=entry.get("rate", 1),
        pattern=entry["pattern"],
    )
