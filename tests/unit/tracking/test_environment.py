"""What a run remembers of the computer that it was made on."""

import pytest

from organscope.tracking import environment

X86 = "processor\t: 0\nmodel name\t: Some Processor\nflags\t\t: fpu avx avx2 avx512f {more}\nbogomips\t: 5000\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd i8mm {more}\n"


@pytest.mark.parametrize(
    ("cpuinfo", "has"),
    [
        (X86.format(more="avx512_bf16"), True),
        (X86.format(more="amx_bf16 amx_tile"), True),
        (X86.format(more="avx512_vnni"), False),
        (ARM.format(more="bf16"), True),
        (ARM.format(more=""), False),
        ("", False),
    ],
)
def test_bfloat16_is_what_the_processor_says(tmp_path, monkeypatch, cpuinfo, has):
    file = tmp_path / "cpuinfo"
    file.write_text(cpuinfo)
    monkeypatch.setattr(environment, "_CPUINFO", file)
    assert environment.processor_has_bfloat16() is has
    assert environment.computer_facts()["bfloat16"] == ("yes" if has else "no")
    assert environment.computer_facts()["processor"] == ("Some Processor" if "model name" in cpuinfo else "")


def test_where_the_system_does_not_tell_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "_CPUINFO", tmp_path / "missing")
    assert not environment.processor_has_bfloat16()
